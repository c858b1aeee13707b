"""Artefacts and deploys as rows: what is written and read back, as functions that run inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from att.deploy import watch_rows
from att.deploy.models import Artefact, AskHistory, Deploy, DeployPage
from att.runtime.rows import Note
from att.store.tables import artefacts, deploys
from att.store.times import now

SUCCEEDED = "succeeded"
UNDER_WAY = "under_way"


def add_artefact(artefact: Artefact, details: Mapping[str, Any], note: Note) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        values = {"id": artefact.artefact_id, "project_id": artefact.project_id, "state": "ready"}
        told = json.dumps({**details, "artefact": artefact.model_dump()})
        connection.execute(
            insert(artefacts).values(
                **values, digest=artefact.digest, created_at=artefact.created_at, details=told
            )
        )
        note.write(connection)

    return work


def add_image(artefact_id: str, name: str) -> Callable[[Connection], None]:
    """There is an image of it."""

    def work(connection: Connection) -> None:
        own = artefacts.c.id == artefact_id
        details = json.loads(connection.execute(select(artefacts.c.details).where(own)).scalar() or "{}")
        if "artefact" in details:
            told = {**details, "artefact": {**details["artefact"], "image": name}}
            connection.execute(update(artefacts).where(own).values(details=json.dumps(told)))

    return work


def forget_artefacts(ids: Sequence[str]) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(delete(artefacts).where(artefacts.c.id.in_(ids)))

    return work


def known(connection: Connection) -> list[tuple[str, str]]:
    """All artefacts of all projects: project and id."""
    return [(row[0], row[1]) for row in connection.execute(select(artefacts.c.project_id, artefacts.c.id))]


def artefacts_of(project_id: str) -> Callable[[Connection], list[Artefact]]:
    """The newest first."""

    def work(connection: Connection) -> list[Artefact]:
        query = select(artefacts).where(artefacts.c.project_id == project_id).order_by(artefacts.c.id.desc())
        fine = set(good_of(project_id)(connection))
        found = [_artefact(row) for row in connection.execute(query).mappings()]
        return [one.model_copy(update={"good": one.artefact_id in fine}) for one in found]

    return work


def same_content(project_id: str, content: str) -> Callable[[Connection], Artefact | None]:
    """The newest artefact that was made of this."""

    def work(connection: Connection) -> Artefact | None:
        query = select(artefacts).where(artefacts.c.project_id == project_id).order_by(artefacts.c.id.desc())
        for row in connection.execute(query).mappings():
            if json.loads(row["details"] or "{}").get("content") == content:
                return _artefact(row)
        return None

    return work


def _artefact(row: RowMapping) -> Artefact:
    return Artefact.model_validate(json.loads(row["details"])["artefact"])


def good_of(project_id: str) -> Callable[[Connection], list[str]]:
    """The artefacts that were healthy, by the last time they were deployed, the newest first."""

    def work(connection: Connection) -> list[str]:
        query = select(deploys.c.artefact_id).where(
            deploys.c.project_id == project_id, deploys.c.state == SUCCEEDED
        )
        found = connection.execute(query.order_by(deploys.c.id.desc())).scalars()
        return list(dict.fromkeys(found))

    return work


def line_of(project_id: str) -> Callable[[Connection], list[str]]:
    """The versions that led to the present one, the newest first. What was rolled back from is not among them any more, so
    that a second rollback goes on backwards."""

    def work(connection: Connection) -> list[str]:
        query = select(deploys.c.artefact_id, deploys.c.details).where(
            deploys.c.project_id == project_id, deploys.c.state == SUCCEEDED
        )
        line: list[str] = []
        for artefact_id, details in connection.execute(query.order_by(deploys.c.id)):
            back = json.loads(details or "{}").get("kind") == "rollback"
            if back and artefact_id in line:
                del line[line.index(artefact_id) :]
            line = [*(one for one in line if one != artefact_id), artefact_id]
        return line[::-1]

    return work


def begin(
    deploy_id: str, values: Mapping[str, Any], details: Mapping[str, Any], note: Note
) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        own = deploys.c.id == deploy_id
        state = connection.execute(select(deploys.c.state).where(own)).scalar()
        if state == UNDER_WAY:
            return  # a life before did
        if state is None:
            row = {"id": deploy_id, "state": UNDER_WAY, "started_at": now(), "details": json.dumps(details)}
            connection.execute(insert(deploys).values(**row, **values))
        else:  # it had ended, and goes on since that was asked for
            again = {"state": UNDER_WAY, "reason": None, "ended_at": None}
            connection.execute(update(deploys).where(own).values(**again))
        note.write(connection)

    return work


def end(
    deploy_id: str,
    state: str,
    reason: str | None,
    notes: Sequence[Note],
    also: Callable[[Connection], None] | None = None,
) -> Callable[[Connection], bool]:
    """How it ended, once, and what else is to be noted with it; False when that stands there already."""

    def work(connection: Connection) -> bool:
        mine = (deploys.c.id == deploy_id) & (deploys.c.state == UNDER_WAY)
        values = {"state": state, "reason": reason, "ended_at": now()}
        if connection.execute(update(deploys).where(mine).values(**values)).rowcount == 0:
            return False
        for note in notes:
            note.write(connection)
        if also is not None:
            also(connection)
        return True

    return work


def under_way(connection: Connection) -> list[Deploy]:
    rows = connection.execute(select(deploys).where(deploys.c.state == UNDER_WAY)).mappings()
    return [_deploy(row) for row in rows]


def last(project_id: str) -> Callable[[Connection], Deploy | None]:
    def work(connection: Connection) -> Deploy | None:
        query = (
            select(deploys).where(deploys.c.project_id == project_id).order_by(deploys.c.id.desc()).limit(1)
        )
        row = connection.execute(query).mappings().first()
        return None if row is None else _deploy(row)

    return work


def page(ask: AskHistory) -> Callable[[Connection], DeployPage]:
    def work(connection: Connection) -> DeployPage:
        query = select(deploys).where(deploys.c.project_id == ask.project_id)
        if ask.cursor is not None:
            query = query.where(deploys.c.id < ask.cursor)
        rows = connection.execute(query.order_by(deploys.c.id.desc()).limit(ask.limit + 1)).mappings().all()
        found = [_deploy(row) for row in rows[: ask.limit]]
        more = len(rows) > ask.limit
        return DeployPage(deploys=found, next_cursor=found[-1].deploy_id if more else None)

    return work


def _deploy(row: RowMapping) -> Deploy:
    details = json.loads(row["details"] or "{}")
    watched = watch_rows.of(details)
    return Deploy(
        deploy_id=row["id"],
        project_id=row["project_id"],
        run_id=details.get("run_id"),
        kind=details.get("kind", "deploy"),
        artefact_id=row["artefact_id"],
        previous_artefact_id=row["previous_artefact_id"],
        state=row["state"],
        reason=row["reason"],
        actor=row["actor"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        watch=watched.told if watched is not None else None,
        watched_until=watched.until if watched is not None else None,
    )
