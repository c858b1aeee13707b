"""Runs as rows: what is written of a run and read back, as functions that run inside a transaction.

Together with each change goes the event that tells of it, so that neither can be there without the other. Also here: which
project's app is *wanted* to run, which outlives the daemon.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from att.event.log import record
from att.event.models import Outcome
from att.store.facts import fact, set_fact
from att.store.tables import runs
from att.store.times import now

WANTED = "runtime.wanted"
LAUNCHER = "runtime.launcher"
LOST = "daemon_lost"
LAUNCHER_LOST = "launcher_lost"


@dataclass(frozen=True, slots=True)
class Note:
    """An event to be written with a change."""

    event_type: str
    project_id: str
    payload: Mapping[str, Any]
    actor: str = "att"
    request_id: str | None = None
    outcome: Outcome = Outcome.OK

    def write(self, connection: Connection) -> None:
        record(
            connection,
            self.event_type,
            project_id=self.project_id,
            payload=self.payload,
            actor=self.actor,
            request_id=self.request_id,
            outcome=self.outcome,
        )


def begin(
    run_id: str, project_id: str, values: Mapping[str, Any], note: Note
) -> Callable[[Connection], None]:
    """A run has begun."""

    def work(connection: Connection) -> None:
        connection.execute(insert(runs).values(run_id=run_id, project_id=project_id, **values))
        note.write(connection)

    return work


def change(run_id: str, values: Mapping[str, Any], notes: Sequence[Note]) -> Callable[[Connection], None]:
    """Something of a run has changed."""

    def work(connection: Connection) -> None:
        if values:
            connection.execute(update(runs).where(runs.c.run_id == run_id).values(**values))
        for note in notes:
            note.write(connection)

    return work


def want(project_id: str | None) -> Callable[[Connection], None]:
    """From now on this project's app is the one that should run (None: no one's)."""
    return lambda connection: set_fact(connection, WANTED, project_id)


def meet(launcher: str) -> Callable[[Connection], bool]:
    """Remember which launcher keeps the apps; whether it is the one of before."""

    def work(connection: Connection) -> bool:
        known = fact(connection, LAUNCHER)
        if known != launcher:
            set_fact(connection, LAUNCHER, launcher or None)
        return bool(launcher) and known == launcher

    return work


def wanted(connection: Connection) -> str | None:
    found = fact(connection, WANTED)
    return found if isinstance(found, str) else None


def close_lost(kept: Collection[str] = (), reason: str = LOST) -> Callable[[Connection], list[str]]:
    """Close the runs whose keeper died, all but those that are `kept`, with an event each; their ids."""

    def work(connection: Connection) -> list[str]:
        open_runs = connection.execute(
            select(runs.c.run_id, runs.c.project_id, runs.c.pid).where(runs.c.exited_at.is_(None))
        ).all()
        lost = [row for row in open_runs if row[0] not in kept]
        for run_id, project_id, pid in lost:
            values = {"state": "stopped", "reason": reason, "exited_at": now()}
            connection.execute(update(runs).where(runs.c.run_id == run_id).values(**values))
            payload = {"run_id": run_id, "pid": pid, "reason": reason}
            Note("runtime.exited", project_id, payload, outcome=Outcome.FAILED).write(connection)
        return [row[0] for row in lost]

    return work


def last(project_id: str) -> Callable[[Connection], Mapping[str, Any] | None]:
    """The newest run of a project."""
    return _read(select(runs).where(runs.c.project_id == project_id).order_by(runs.c.run_id.desc()).limit(1))


def one(run_id: str) -> Callable[[Connection], Mapping[str, Any] | None]:
    """The run of this id."""
    return _read(select(runs).where(runs.c.run_id == run_id))


def _read(query: Select[Any]) -> Callable[[Connection], Mapping[str, Any] | None]:
    def work(connection: Connection) -> Mapping[str, Any] | None:
        row = connection.execute(query).mappings().first()
        if row is None:
            return None
        found = dict(row)
        found["command"] = json.loads(found["command"] or "[]")
        found["details"] = json.loads(found["details"] or "{}")
        return found

    return work
