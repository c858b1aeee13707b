"""Pull requests and checks of the local forge as rows: plain functions that run inside a transaction.

With each change goes the event that tells of it, so that neither is there without the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from att.catalogue import Call
from att.event.log import record
from att.git.forge.models import Check, Conclusion, PullRequest, PullState, Review, Status
from att.git.forge.tell import Told
from att.store.tables import checks, pulls
from att.store.times import now

KEPT = 100
"""Checks of a project that are kept."""
INTERRUPTED = 3
"""How often a check is begun anew after the daemon died in it."""
Row = dict[str, Any]


def note(connection: Connection, project_id: str, told: Told, call: Call) -> None:
    record(
        connection,
        told[0],
        project_id=project_id,
        payload=told[1],
        actor=call.actor,
        request_id=call.request_id,
    )


def _whole(row: Mapping[Any, Any]) -> Row:
    return {**row, "details": json.loads(row["details"] or "{}")}


# -- pull requests


def new_number(connection: Connection, project_id: str) -> int:
    newest = select(func.max(pulls.c.number)).where(pulls.c.project_id == project_id)
    return int(connection.execute(newest).scalar() or 0) + 1


def add_pull(connection: Connection, values: Mapping[str, Any], details: Mapping[str, Any]) -> Row:
    moment = now()
    row = {**values, "created_at": moment, "updated_at": moment, "details": json.dumps(details)}
    connection.execute(insert(pulls).values(**row))
    return _whole(row)


def pull(connection: Connection, project_id: str, number: int) -> Row | None:
    query = select(pulls).where(pulls.c.project_id == project_id, pulls.c.number == number)
    found = connection.execute(query).mappings().first()
    return None if found is None else _whole(found)


def some_pulls(
    connection: Connection,
    project_id: str,
    *,
    state: str = "all",
    head: str | None = None,
    base: str | None = None,
    before: int = 0,
    limit: int = 1000,
) -> list[Row]:
    """The newest first; those before number `before`."""
    query = select(pulls).where(pulls.c.project_id == project_id)
    query = query if state == "all" else query.where(pulls.c.state == state)
    query = query if head is None else query.where(pulls.c.head == head)
    query = query if base is None else query.where(pulls.c.base == base)
    query = query.where(pulls.c.number < before) if before else query
    query = query.order_by(pulls.c.number.desc()).limit(limit)
    return [_whole(row) for row in connection.execute(query).mappings()]


def change_pull(
    connection: Connection, project_id: str, number: int, details: Mapping[str, Any], **values: Any
) -> Row:
    mine = (pulls.c.project_id == project_id) & (pulls.c.number == number)
    values |= {"updated_at": now(), "details": json.dumps(details)}
    connection.execute(update(pulls).where(mine).values(**values))
    return pull(connection, project_id, number) or {}


def with_open_pulls(connection: Connection) -> list[str]:
    """The projects that have one."""
    query = select(pulls.c.project_id).where(pulls.c.state == PullState.OPEN.value).distinct()
    return list(connection.execute(query).scalars())


def pull_of(row: Row, **more: Any) -> PullRequest:
    """The model of a row; `more` is what was looked up now."""
    details = row["details"]
    values = {key: row[key] for key in PullRequest.model_fields if key in row}
    values |= {key: details.get(key) for key in ("head_sha", "base_sha", "merge_sha")}
    return PullRequest(**{**values, **more})


def reviews_of(row: Row) -> list[Review]:
    return [Review(number=row["number"], **each) for each in row["details"].get("reviews", [])]


# -- checks


def add_check(connection: Connection, values: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    row = {**values, "status": Status.QUEUED.value, "created_at": now(), "details": json.dumps(details)}
    connection.execute(insert(checks).values(**row))


def check(connection: Connection, check_id: str, project_id: str | None = None) -> Row | None:
    query = select(checks).where(checks.c.id == check_id)
    query = query if project_id is None else query.where(checks.c.project_id == project_id)
    found = connection.execute(query).mappings().first()
    return None if found is None else _whole(found)


def some_checks(
    connection: Connection,
    project_id: str,
    *,
    sha: str | None = None,
    before: str | None = None,
    limit: int = 1000,
) -> list[Row]:
    """The newest first; those before the check `before`."""
    query = select(checks).where(checks.c.project_id == project_id)
    query = query if sha is None else query.where(checks.c.head_sha == sha)
    query = query.where(checks.c.id < before) if before else query
    query = query.order_by(checks.c.id.desc()).limit(limit)
    return [_whole(row) for row in connection.execute(query).mappings()]


def unfinished(connection: Connection, project_id: str | None = None) -> list[Row]:
    """Those that are queued or run, the oldest first."""
    query = select(checks).where(checks.c.status != Status.COMPLETED.value).order_by(checks.c.id)
    query = query if project_id is None else query.where(checks.c.project_id == project_id)
    return [_whole(row) for row in connection.execute(query).mappings()]


def change_check(connection: Connection, row: Row, details: Mapping[str, Any], **values: Any) -> None:
    values["details"] = json.dumps({**row["details"], **details})
    connection.execute(update(checks).where(checks.c.id == row["id"]).values(**values))


def end_check(
    connection: Connection, check_id: str, conclusion: Conclusion, call: Call, told: Any, **details: Any
) -> Check | None:
    """The check has ended; None when it had ended before (or is gone). `told` makes the event of it."""
    row = check(connection, check_id)
    if row is None or row["status"] == Status.COMPLETED.value:
        return None
    values = {"status": Status.COMPLETED.value, "conclusion": conclusion.value, "ended_at": now()}
    change_check(connection, row, details, **values)
    found = check_of({**row, **values, "details": {**row["details"], **details}})
    note(connection, row["project_id"], told(found), call)
    return found


def begin_again(connection: Connection) -> tuple[list[str], list[str]]:
    """After a daemon that died: what ran is queued again, but not for ever; the ids of both."""
    again, given_up = [], []
    for row in unfinished(connection):
        if row["status"] != Status.IN_PROGRESS.value:
            continue
        lives = row["details"].get("lives", 1)
        if lives >= INTERRUPTED:
            given_up.append(row["id"])
        else:
            again.append(row["id"])
            change_check(connection, row, {"lives": lives + 1}, status=Status.QUEUED.value, started_at=None)
    return again, given_up


def prune(connection: Connection, project_id: str) -> Sequence[str]:
    """Forget the oldest checks that have ended; the ids of those that are kept."""
    kept = [row["id"] for row in some_checks(connection, project_id, limit=KEPT)]
    if len(kept) == KEPT:
        old = (checks.c.id < kept[-1]) & (checks.c.status == Status.COMPLETED.value)
        connection.execute(delete(checks).where(checks.c.project_id == project_id, old))
    return kept


def check_of(row: Row) -> Check:
    details = row["details"]
    values = {key: row[key] for key in Check.model_fields if key in row}
    values |= {key: details.get(key) for key in ("branch", "command", "exit_code", "reason")}
    return Check(**values, attempt=details.get("attempt", 1))
