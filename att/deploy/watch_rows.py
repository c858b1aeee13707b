"""The watch over a version as it stands in the row of its deploy, as functions that run inside a transaction.

It is written with the switch itself, so that there is no moment in which a version is out and not under watch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, select, update

from att.deploy.probation import Standing, Watch
from att.deploy.settings import DeploySettings
from att.event.query import select_newest
from att.runtime.rows import Note
from att.store.tables import deploys
from att.store.times import stamp

TOLD: Mapping[Standing, Literal["on", "passed", "ended", "failed"]] = {
    Standing.ON: "on",
    Standing.PASSED: "passed",
    Standing.ENDED: "ended",
    Standing.ILL: "failed",
    Standing.FAILED: "failed",
}
LIVE = frozenset({Standing.ON, Standing.ILL})


@dataclass(frozen=True, slots=True)
class Watched:
    """`after`: the event with which the watch begins; `timeout`: what the version before gets to become healthy again."""

    deploy_id: str
    project_id: str
    artefact_id: str
    run_id: str
    after: int
    until: str
    crashes: int
    timeout: float
    state: Standing = Standing.ON
    reason: str = ""

    @property
    def start(self) -> Watch:
        return Watch(self.artefact_id, frozenset({self.run_id}), allowed=self.crashes)

    @property
    def told(self) -> Literal["on", "passed", "ended", "failed"]:
        """As users see it: one that is ill has failed, though the way back has not begun yet."""
        return TOLD[self.state]

    @property
    def ends_at(self) -> float:
        """By the clock of the wall."""
        return datetime.fromisoformat(self.until).timestamp()


def begin(
    deploy_id: str, settings: DeploySettings, timeout: float, artefact_id: str, project_id: str
) -> Callable[[Connection, str], None]:
    """To be called with the switch, with the run that is the app now."""

    def work(connection: Connection, run_id: str) -> None:
        until = stamp(datetime.now(UTC) + timedelta(seconds=settings.watch))
        newest = select_newest(connection)
        found = Watched(
            deploy_id, project_id, artefact_id, run_id, newest, until, settings.watch_crashes, timeout
        )
        _put(connection, found)

    return work


def one(deploy_id: str) -> Callable[[Connection], Watched | None]:
    def work(connection: Connection) -> Watched | None:
        details = connection.execute(select(deploys.c.details).where(deploys.c.id == deploy_id)).scalar()
        return of(json.loads(details or "{}"))

    return work


def of(details: dict[str, Any]) -> Watched | None:
    """The watch that the details of a deploy tell of; what only a later release knows is left aside."""
    found = details.get("watch")
    if found is None:
        return None
    known = {each.name: found[each.name] for each in fields(Watched) if each.name in found}
    return Watched(**{**known, "state": Standing(found["state"])})


def live(connection: Connection) -> list[Watched]:
    """Those that are not over; of deploys that are."""
    marks = [deploys.c.details.contains(f'"state": "{state}"') for state in sorted(LIVE)]
    query = select(deploys.c.details).where(marks[0] | marks[1], deploys.c.ended_at.is_not(None))
    found = [of(json.loads(row)) for row in connection.execute(query.order_by(deploys.c.id)).scalars()]
    return [each for each in found if each is not None and each.state in LIVE]


def turn(
    deploy_id: str,
    to: Standing,
    *,
    when: Standing,
    reason: str = "",
    failed: bool = False,
    notes: Sequence[Note] = (),
) -> Callable[[Connection], Watched | None]:
    """Give it another standing, if it has the one of `when`; None if not. `failed`: and so has the deploy, and any after it that
    found this version running."""

    def work(connection: Connection) -> Watched | None:
        found = one(deploy_id)(connection)
        if found is None or found.state is not when:
            return None
        turned = replace(found, state=to, reason=reason or found.reason)
        _put(connection, turned)
        if failed:
            values = {"state": "failed", "reason": reason}
            mine = (deploys.c.project_id == found.project_id) & (deploys.c.artefact_id == found.artefact_id)
            since = (deploys.c.id >= deploy_id) & (deploys.c.state == "succeeded")
            connection.execute(update(deploys).where(mine, since).values(**values))
        for note in notes:
            note.write(connection)
        return turned

    return work


def end_all(but: str | None = None) -> Callable[[Connection], list[str]]:
    """Nobody looks any longer: the app was taken in hand. One whose way back has begun has no watch any more; the ids."""

    def work(connection: Connection) -> list[str]:
        ended = [each for each in live(connection) if each.deploy_id != but]
        for each in ended:
            _put(connection, replace(each, state=Standing.ENDED))
        return [each.deploy_id for each in ended]

    return work


def gone_back(deploy_id: str) -> Callable[[Connection], None]:
    """The version before runs again."""

    def work(connection: Connection) -> None:
        mine = (deploys.c.id == deploy_id) & (deploys.c.state == "failed")
        connection.execute(update(deploys).where(mine).values(state="rolled_back"))

    return work


def _put(connection: Connection, watched: Watched) -> None:
    own = deploys.c.id == watched.deploy_id
    details = json.loads(connection.execute(select(deploys.c.details).where(own)).scalar() or "{}")
    told = json.dumps({**details, "watch": asdict(watched)})
    connection.execute(update(deploys).where(own).values(details=told))
