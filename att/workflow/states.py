"""The states of a run and what may happen in each, as a table; and what the next life of the daemon does with what it finds.

An unknown pair is refused by `WrongMoment`, and nothing has changed then. This file does no I/O.
"""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """How a run stands. `interrupted`: its life ended and it cannot go on by itself."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING)


class StepState(StrEnum):
    """How a step stands. `undone`: it was done, and then taken back."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDONE = "undone"


class Happening(StrEnum):
    """What can happen to a run."""

    BEGIN = "begin"  # a place is free for it
    PAUSE = "pause"  # the daemon leaves, or has died, and the next life goes on
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    INTERRUPT = "interrupt"
    RESUME = "resume"  # somebody asks for it


_S, _H = RunState, Happening
TABLE: dict[tuple[RunState, Happening], RunState] = {
    (_S.QUEUED, _H.BEGIN): _S.RUNNING,
    (_S.QUEUED, _H.PAUSE): _S.QUEUED,
    (_S.QUEUED, _H.CANCEL): _S.CANCELLED,
    (_S.QUEUED, _H.INTERRUPT): _S.INTERRUPTED,
    (_S.RUNNING, _H.BEGIN): _S.RUNNING,  # the life before died in it
    (_S.RUNNING, _H.PAUSE): _S.QUEUED,
    (_S.RUNNING, _H.SUCCEED): _S.SUCCEEDED,
    (_S.RUNNING, _H.FAIL): _S.FAILED,
    (_S.RUNNING, _H.CANCEL): _S.CANCELLED,
    (_S.RUNNING, _H.INTERRUPT): _S.INTERRUPTED,
    (_S.FAILED, _H.RESUME): _S.QUEUED,
    (_S.CANCELLED, _H.RESUME): _S.QUEUED,
    (_S.INTERRUPTED, _H.RESUME): _S.QUEUED,
}
UNDER_WAY = tuple(state.value for state in RunState if not state.ended)
ENDED = tuple(state.value for state in RunState if state.ended)
LIVES = 5
"""Lives of the daemon that may end without a word in the middle of one run; then it is not tried again."""


class WrongMoment(Exception):
    """This cannot happen to a run in this state."""


def moved(state: RunState, what: Happening) -> RunState:
    """The state after `what`; `WrongMoment` when that cannot be."""
    try:
        return TABLE[state, what]
    except KeyError:
        raise WrongMoment(f"a run that is {state} cannot {what}") from None


class AtStart(StrEnum):
    """What a new life does with a run that it finds under way."""

    GO_ON = "go on"
    TAKE_BACK = "take back"  # nothing new is begun; what was done is undone
    GIVE_UP = "give up"


def at_start(state: RunState, *, known: bool, resumes: bool, condemned: bool, deaths: int) -> AtStart:
    """`known`: there is work of this kind in this code. `condemned`: its end was decided, the undoing was not finished.
    `deaths`: lives that ended without a word while it ran."""
    if not known or state.ended:
        return AtStart.GIVE_UP
    if condemned:
        return AtStart.TAKE_BACK
    if state is RunState.QUEUED:
        return AtStart.GO_ON
    if not resumes:
        return AtStart.GIVE_UP
    return AtStart.GO_ON if deaths < LIVES else AtStart.TAKE_BACK
