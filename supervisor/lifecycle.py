"""What happens next to the app: the state machine, and nothing else.

The table is the whole truth: where we are and what happened give where we go and what is to be done. A pair that is not in it
makes no sense and is refused, with nothing changed. No clock, no process, no log here. Phases are the states of the contract,
with `stopping` told apart by what comes after it. An end of the run is fed in only when all that belonged to it is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum, auto


class State(StrEnum):
    """What users see."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    FAILED = "failed"


class Phase(Enum):
    STOPPED = auto()
    STARTING = auto()  # there is a process; it has not shown yet that it is up
    RUNNING = auto()
    STOPPING = auto()  # being ended, since somebody asked for it
    RECYCLING = auto()  # being ended, and to be started again on somebody's wish
    ENDING = auto()  # being ended by us, since it is ill or its files changed; the restart policy will answer
    BACKOFF = auto()  # ended; will be started again by itself
    FAILED = auto()  # ended; waits for a person

    @property
    def state(self) -> State:
        return STATES[self]


class Event(Enum):
    START = auto()  # START, STOP, RESTART: asked for by somebody
    STOP = auto()
    RESTART = auto()
    UP = auto()  # all startup probes have succeeded
    END = (
        auto()
    )  # it took too long to start, liveness failed, too much memory, files changed: to be ended by us
    SLOW = auto()  # it was asked to leave and has not within the grace time
    GONE = auto()  # the run and all it started are gone, as somebody had wished
    AGAIN = auto()  # gone by itself or ended by us; the policy says: start it again
    DONE = auto()  # gone; the policy says: leave it, all is well
    GIVE_UP = auto()  # gone; the policy says: leave it, this is a failure
    OVER = auto()  # the back-off time is over
    CANNOT = auto()  # the process could not be made, and a person is there to be told


class Action(Enum):
    SPAWN = auto()
    FRESH = auto()  # forget earlier deaths: a person wants it
    ASK = auto()  # send the stop signal and set the grace timer
    KILL = auto()
    DISARM = auto()  # no timer any more
    WAIT = auto()  # set the back-off timer
    REST = auto()  # nothing runs and nothing will by itself: say so


class IllegalTransition(Exception):
    """This makes no sense now. Nothing has changed."""

    def __init__(self, phase: Phase, event: Event) -> None:
        super().__init__(f"{event.name} makes no sense while {phase.state.value}")
        self.phase, self.event = phase, event


Step = tuple[Phase, tuple[Action, ...]]

STATES: Mapping[Phase, State] = {
    Phase.STOPPED: State.STOPPED,
    Phase.STARTING: State.STARTING,
    Phase.RUNNING: State.RUNNING,
    Phase.STOPPING: State.STOPPING,
    Phase.RECYCLING: State.STOPPING,
    Phase.ENDING: State.STOPPING,
    Phase.BACKOFF: State.BACKOFF,
    Phase.FAILED: State.FAILED,
}
ALIVE = frozenset({Phase.STARTING, Phase.RUNNING, Phase.STOPPING, Phase.RECYCLING, Phase.ENDING})
AT_REST = frozenset({Phase.STOPPED, Phase.FAILED})
# An end in one of these is answered by the restart policy (AGAIN, DONE, GIVE_UP); in the others somebody wished it (GONE).
BY_POLICY = frozenset({Phase.STARTING, Phase.RUNNING, Phase.ENDING})

P, E, A = Phase, Event, Action
BEGIN = (P.STARTING, (A.DISARM, A.FRESH, A.SPAWN))
RESTED = (A.DISARM, A.REST)

TRANSITIONS: Mapping[tuple[Phase, Event], Step] = {
    (P.STOPPED, E.START): BEGIN,
    (P.STOPPED, E.RESTART): BEGIN,
    (P.FAILED, E.START): BEGIN,
    (P.FAILED, E.RESTART): BEGIN,
    (P.FAILED, E.STOP): (P.STOPPED, RESTED),
    (P.BACKOFF, E.START): BEGIN,
    (P.BACKOFF, E.RESTART): BEGIN,
    (P.BACKOFF, E.STOP): (P.STOPPED, RESTED),
    (P.BACKOFF, E.OVER): (P.STARTING, (A.DISARM, A.SPAWN)),
    (P.STARTING, E.STOP): (P.STOPPING, (A.DISARM, A.ASK)),
    (P.STARTING, E.RESTART): (P.RECYCLING, (A.DISARM, A.ASK)),
    (P.STARTING, E.END): (P.ENDING, (A.DISARM, A.ASK)),
    (P.STARTING, E.UP): (P.RUNNING, (A.DISARM,)),
    (P.STARTING, E.AGAIN): (P.BACKOFF, (A.DISARM, A.WAIT)),
    (P.STARTING, E.DONE): (P.STOPPED, RESTED),
    (P.STARTING, E.GIVE_UP): (P.FAILED, RESTED),
    (P.STARTING, E.CANNOT): (P.FAILED, RESTED),
    (P.RUNNING, E.STOP): (P.STOPPING, (A.DISARM, A.ASK)),
    (P.RUNNING, E.RESTART): (P.RECYCLING, (A.DISARM, A.ASK)),
    (P.RUNNING, E.END): (P.ENDING, (A.DISARM, A.ASK)),
    (P.RUNNING, E.UP): (P.RUNNING, ()),
    (P.RUNNING, E.AGAIN): (P.BACKOFF, (A.DISARM, A.WAIT)),
    (P.RUNNING, E.DONE): (P.STOPPED, RESTED),
    (P.RUNNING, E.GIVE_UP): (P.FAILED, RESTED),
    # The latest wish counts; whoever waits for the end of the run hears of it either way.
    (P.STOPPING, E.START): (P.RECYCLING, ()),
    (P.STOPPING, E.RESTART): (P.RECYCLING, ()),
    (P.STOPPING, E.STOP): (P.STOPPING, ()),
    (P.STOPPING, E.END): (P.STOPPING, ()),
    (P.STOPPING, E.UP): (P.STOPPING, ()),
    (P.STOPPING, E.SLOW): (P.STOPPING, (A.KILL,)),
    (P.STOPPING, E.GONE): (P.STOPPED, RESTED),
    (P.RECYCLING, E.START): (P.RECYCLING, ()),
    (P.RECYCLING, E.RESTART): (P.RECYCLING, ()),
    (P.RECYCLING, E.STOP): (P.STOPPING, ()),
    (P.RECYCLING, E.END): (P.RECYCLING, ()),
    (P.RECYCLING, E.UP): (P.RECYCLING, ()),
    (P.RECYCLING, E.SLOW): (P.RECYCLING, (A.KILL,)),
    (P.RECYCLING, E.GONE): (P.STARTING, (A.DISARM, A.FRESH, A.SPAWN)),
    (P.ENDING, E.START): (P.RECYCLING, ()),
    (P.ENDING, E.RESTART): (P.RECYCLING, ()),
    (P.ENDING, E.STOP): (P.STOPPING, ()),
    (P.ENDING, E.END): (P.ENDING, ()),
    (P.ENDING, E.UP): (P.ENDING, ()),
    (P.ENDING, E.SLOW): (P.ENDING, (A.KILL,)),
    (P.ENDING, E.AGAIN): (P.BACKOFF, (A.DISARM, A.WAIT)),
    (P.ENDING, E.DONE): (P.STOPPED, RESTED),
    (P.ENDING, E.GIVE_UP): (P.FAILED, RESTED),
}


def step(phase: Phase, event: Event) -> Step:
    """Where it goes and what is to be done, in this order. Raises IllegalTransition."""
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise IllegalTransition(phase, event) from None
