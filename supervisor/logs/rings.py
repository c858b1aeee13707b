"""What a log and the launcher's keeper tell each other about a ring that the launcher fills. Values only."""

from __future__ import annotations

from typing import Final, NamedTuple

from supervisor.logs.errors import LogError

RING_SLOTS: Final = 32768


class RingWanted(NamedTuple):
    """The ring that a log needs when there is none yet: at which offset it begins, and its bounds."""

    base: int
    ring_bytes: int
    slots: int
    log_wait: float


class RingHandles(NamedTuple):
    """Descriptors of a ring, the taker's to close. `bell` is readable when bytes came; eight bytes into
    `room` say that some were taken. `fresh`: it was made just now and holds nothing of an earlier life."""

    ring: int
    acks: int
    bell: int
    room: int
    fresh: bool


class RingOutdated(LogError):
    """The log has gone on without this ring, so its offsets mean something else by now."""
