"""Which releases may go: a plan over what is on disk and what the launcher knows. Does no I/O.

Kept: the current, previous and staged one, the one that runs, those not decided about yet, where a rollback would lead, what
the launcher tries to do without in a crisis, whatever a process still uses, the newest few good ones, and the newest few that
were staged and not tried. What the launcher does not know yet is not judged. Of a release that failed the environment goes;
what it was and how it was made (`release.json`, the log) stays, so that it is remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from att.release.record import INSTALLED, UNDECIDED, BootRecord, State

KEEP = 3


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A complete release. `bulky`: it still has its environment or its source."""

    id: str
    built_at: str
    bulky: bool = True


@dataclass(frozen=True, slots=True)
class Pruning:
    remove: tuple[str, ...] = ()
    strip: tuple[str, ...] = ()


def plan(
    found: Iterable[OnDisk],
    record: BootRecord,
    *,
    running: str | None,
    used: Collection[str] = (),
    keep: int = KEEP,
) -> Pruning:
    """What is removed whole, and what is only stripped of its environment."""
    newest = sorted(found, key=lambda one: (one.built_at, one.id), reverse=True)
    present = {one.id for one in newest}
    needed = {record.current, record.previous, record.staged, running, record.way_back(present)}
    needed |= {*record.given_up, *used, INSTALLED}
    for kind in (State.GOOD, State.STAGED):
        needed.update([one.id for one in newest if record.state(one.id) is kind][: max(keep, 1)])
    remove, strip = [], []
    for one in newest:
        state = record.state(one.id)
        if one.id in needed or state is None or state in UNDECIDED:
            continue
        if state is not State.FAILED:
            remove.append(one.id)
        elif one.bulky:
            strip.append(one.id)
    return Pruning(tuple(sorted(remove)), tuple(sorted(strip)))
