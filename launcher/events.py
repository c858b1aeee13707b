"""The words between the boot decisions and the loop: states, events that come in, actions that go out."""

from __future__ import annotations

from enum import Enum

from launcher.protocol.words import NamedTuple
from launcher.verdict import Kind


class State(Enum):
    WAITING = "waiting"  # nothing runs; a start is due
    STARTING = "starting"  # started, not yet healthy
    HEALTHY = "healthy"
    DRAINING = "draining"  # the standby is healthy; the old one finishes what it has
    ENDING = "ending"  # the active one is being ended
    ANSWERING = "answering"  # nothing runs; the launcher answers with 503 itself
    LEAVING = "leaving"  # waiting for the daemons to be gone
    LEFT = "left"


# Events


class Begin(NamedTuple):
    """The launcher has started."""


class Tick(NamedTuple):
    """`Boot.deadline` has come."""


class Healthy(NamedTuple):
    """The active one answered health, often enough, as the release and life that it is."""


class Unhealthy(NamedTuple):
    """The active one was healthy and is no longer. `outside`: somebody has stopped it; that is no verdict about a release."""

    why: str
    outside: bool = False


class Died(NamedTuple):
    """`outside`: when we ended it, somebody else had stopped it; that is no verdict about a release."""

    kind: Kind
    text: str = ""
    app: bool = False  # a managed app lives
    outside: bool = False


class Staged(NamedTuple):
    release: str


class SwitchAsked(NamedTuple):
    release: str


class StandbyHealthy(NamedTuple):
    """The standby answered health with its own release id."""


class StandbyLost(NamedTuple):
    kind: Kind
    text: str = ""
    outside: bool = False


class StopAsked(NamedTuple):
    """SIGTERM or SIGINT."""


class RetryAsked(NamedTuple):
    """SIGHUP, or the configuration has changed."""


class AppGone(NamedTuple):
    """The managed app has ended while no daemon lives."""


Event = (
    Begin
    | Tick
    | Healthy
    | Unhealthy
    | Died
    | Staged
    | SwitchAsked
    | StandbyHealthy
    | StandbyLost
    | StopAsked
    | RetryAsked
    | AppGone
)


# Actions


class Save(NamedTuple):
    """Write the record; before anything else."""


class Spawn(NamedTuple):
    release: str
    safe: bool = False


class SpawnStandby(NamedTuple):
    release: str


class Activate(NamedTuple):
    """The standby is the active one from now on."""


class Drain(NamedTuple):
    """Tell the active one to finish and leave."""


class Reload(NamedTuple):
    """Tell the active one to read its configuration again."""


class End(NamedTuple):
    """End the active one: politely, or at once."""

    force: bool = False


class EndStandby(NamedTuple):
    force: bool = False


class Answer(NamedTuple):
    """Answer every request with 503 and this reason, until the next `Spawn`."""

    reason: str


class Leave(NamedTuple):
    """Stop the app, clear what is left, and exit."""

    code: int


class Note(NamedTuple):
    """Write it into the journal."""

    event: str
    release: str | None = None
    reason: str = ""


Action = Save | Spawn | SpawnStandby | Activate | Drain | Reload | End | EndStandby | Answer | Leave | Note
