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
SOURCE = "runtime.source."  # and the project's id
LAUNCHER = "runtime.launcher"
LOST = "daemon_lost"
LAUNCHER_LOST = "launcher_lost"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an app runs out of: `artefact_id` was deployed last; `files`: yet the project's own files are run."""

    artefact_id: str | None = None
    files: bool = False


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


def unwant(project_id: str) -> Callable[[Connection], None]:
    """This project's app is not the one that should run, if it was."""

    def work(connection: Connection) -> None:
        if wanted(connection) == project_id:
            set_fact(connection, WANTED, None)

    return work


def source(project_id: str) -> Callable[[Connection], Chosen]:
    return lambda connection: Chosen(**(fact(connection, SOURCE + project_id) or {}))


def choose(project_id: str, artefact_id: str | None) -> Callable[[Connection], None]:
    """From now on the app runs out of this artefact; None: out of the project's files."""

    def work(connection: Connection) -> None:
        before = source(project_id)(connection)
        files = artefact_id is None
        kept = before.artefact_id if files else artefact_id
        told = {"artefact_id": kept, "files": files} if kept else None
        set_fact(connection, SOURCE + project_id, told)

    return work


def run_out_of(project_id: str, artefact_id: str | None) -> Callable[[Connection], None]:
    """It is wanted, and runs out of this artefact (None: out of its files)."""

    def work(connection: Connection) -> None:
        set_fact(connection, WANTED, project_id)
        choose(project_id, artefact_id)(connection)

    return work


def forget(project_id: str) -> Callable[[Connection], None]:
    return lambda connection: set_fact(connection, SOURCE + project_id, None)


def promote(
    project_id: str,
    artefact_id: str | None,
    run_id: str,
    before: str | None,
    also: Callable[[Connection, str], None] | None = None,
) -> Callable[[Connection], None]:
    """The run that was tried is the app, wanted and chosen; the one `before` it is on its way out. `also`: what else is to be
    noted with that, of the run."""

    def work(connection: Connection) -> None:
        for each, role in ((run_id, "current"), (before, "draining")):
            row = one(each)(connection) if each else None
            if row is not None and row["exited_at"] is None:
                told = json.dumps({**row["details"], "role": role})
                connection.execute(update(runs).where(runs.c.run_id == each).values(details=told))
        run_out_of(project_id, artefact_id)(connection)
        if also is not None:
            also(connection, run_id)

    return work


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
    """The newest run of a project that was its app, not only tried."""
    query = select(runs).where(runs.c.project_id == project_id).order_by(runs.c.run_id.desc())
    tried = runs.c.details.contains('"role": "candidate"')
    return _read(query.where(runs.c.details.is_(None) | ~tried).limit(1))


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
