"""Runs and their steps as rows: what is written and read back, as functions that run inside a transaction.

With each change of a run goes the event that tells of it, so that neither can be there without the other. A step's checkpoint is
its row in the state `done`: it is written once and then answered from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from att.event.log import record
from att.event.models import Outcome
from att.problems import BadCursor, ProjectNotFound
from att.store.tables import jobs, projects, steps
from att.store.times import now
from att.workflow.content import shown
from att.workflow.errors import RunNotFound
from att.workflow.models import ListRuns, Run, RunPage, RunRow, Step
from att.workflow.states import ENDED, UNDER_WAY, RunState, StepState

UNDO = "undo: "
_WELL = (RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED)


@dataclass(slots=True)
class Kept:
    """A run as a life of the daemon works on it. `details`: how far it is, and its verdict while it is taken back."""

    run_id: str
    project_id: str
    kind: str
    state: RunState
    input: dict[str, Any]
    actor: str
    request_id: str | None
    created_at: str
    started_at: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def kept_of(row: Row[Any]) -> Kept:
    return Kept(
        run_id=row.run_id,
        project_id=row.project_id,
        kind=row.kind,
        state=RunState(row.state),
        input=json.loads(row.input),
        actor=row.actor,
        request_id=row.request_id,
        created_at=row.created_at,
        started_at=row.started_at,
        details=json.loads(row.details) if row.details else {},
    )


def add(connection: Connection, kept: Kept, text: str, keep: int) -> None:
    """A new run; those of the project that are too many are forgotten, but never the newest of a kind."""
    if connection.execute(select(projects.c.id).where(projects.c.id == kept.project_id)).scalar() is None:
        raise ProjectNotFound(f"There is no project {kept.project_id[:64]!r}.")
    connection.execute(
        insert(jobs).values(
            run_id=kept.run_id,
            project_id=kept.project_id,
            kind=kept.kind,
            state=kept.state.value,
            input=text,
            actor=kept.actor,
            request_id=kept.request_id,
            created_at=kept.created_at,
            details=json.dumps(kept.details),
        )
    )
    tell(connection, kept, "workflow.queued")
    prune(connection, kept.project_id, keep)


def prune(connection: Connection, project_id: str, keep: int) -> None:
    own = jobs.c.project_id == project_id
    oldest = select(jobs.c.run_id).where(own).order_by(jobs.c.run_id.desc()).offset(keep).limit(1)
    bound = connection.execute(oldest).scalar()
    if bound is None:
        return
    ended = jobs.c.state.in_(ENDED)
    newest = select(func.max(jobs.c.run_id)).where(own, ended).group_by(jobs.c.kind)
    connection.execute(
        delete(jobs).where(own, ended, jobs.c.run_id <= bound, jobs.c.run_id.not_in(newest.scalar_subquery()))
    )


def tell(connection: Connection, kept: Kept, event_type: str, **payload: Any) -> None:
    told = {"run_id": kept.run_id, "kind": kept.kind, **payload}
    record(
        connection,
        event_type,
        project_id=kept.project_id,
        payload=told,
        actor=kept.actor,
        request_id=kept.request_id,
        outcome=Outcome.OK if kept.state in _WELL else Outcome.FAILED,
    )


def begin(connection: Connection, kept: Kept, event_type: str) -> None:
    """A life of the daemon begins to work on it."""
    kept.state, kept.started_at = RunState.RUNNING, kept.started_at or now()
    _set(connection, kept, started_at=kept.started_at)
    tell(connection, kept, event_type)


def note(connection: Connection, kept: Kept) -> None:
    """Keep the state and the details."""
    _set(connection, kept)


def finish(
    connection: Connection,
    kept: Kept,
    result: str | None,
    problem: dict[str, Any] | None,
    steps_to: StepState,
) -> None:
    """The run has ended, or waits for the next life."""
    _open_steps(connection, kept.run_id, steps_to)
    if kept.state is RunState.QUEUED:
        _set(connection, kept)
        tell(connection, kept, "workflow.paused")
        return
    _set(
        connection,
        kept,
        result=result,
        problem=None if problem is None else json.dumps(problem),
        ended_at=now(),
    )
    short = {key: problem[key] for key in ("code", "detail") if key in problem} if problem else None
    tell(connection, kept, f"workflow.{kept.state.value}", **({"problem": short} if short else {}))


def again(connection: Connection, kept: Kept) -> None:
    """An ended run waits once more: what was taken back is to be done again, what was not is not."""
    own = steps.c.run_id == kept.run_id
    connection.execute(delete(steps).where(own, steps.c.state == StepState.UNDONE.value))
    connection.execute(delete(steps).where(own, steps.c.name.startswith(UNDO, autoescape=True)))
    _set(connection, kept, result=None, problem=None, ended_at=None)
    tell(connection, kept, "workflow.queued", resumed=True)


def _set(connection: Connection, kept: Kept, **values: Any) -> None:
    connection.execute(
        update(jobs)
        .where(jobs.c.run_id == kept.run_id)
        .values(state=kept.state.value, details=json.dumps(kept.details), **values)
    )


def _open_steps(connection: Connection, run_id: str, state: StepState) -> None:
    connection.execute(
        update(steps)
        .where(steps.c.run_id == run_id, steps.c.state == StepState.RUNNING.value)
        .values(state=state.value, ended_at=now())
    )


def begin_step(connection: Connection, run_id: str, name: str) -> int:
    """A step is tried; how often it was by now."""
    own = (steps.c.run_id == run_id, steps.c.name == name)
    before = connection.execute(select(steps.c.attempts).where(*own)).scalar()
    values = {"state": StepState.RUNNING.value, "started_at": now(), "ended_at": None, "problem": None}
    if before is None:
        connection.execute(insert(steps).values(run_id=run_id, name=name, attempts=1, **values))
        return 1
    connection.execute(update(steps).where(*own).values(attempts=before + 1, **values))
    return int(before) + 1


def end_step(
    connection: Connection,
    kept: Kept,
    name: str,
    output: str | None,
    problem: Mapping[str, Any] | None,
    undone: tuple[str, ...] = (),
) -> None:
    """The checkpoint of a step, or how it failed; `undone` are the steps that it has taken back."""
    state = StepState.DONE if problem is None else StepState.FAILED
    told = None if problem is None else json.dumps(problem)
    connection.execute(
        update(steps)
        .where(steps.c.run_id == kept.run_id, steps.c.name == name)
        .values(state=state.value, output=output, problem=told, ended_at=now())
    )
    if undone:
        connection.execute(
            update(steps)
            .where(
                steps.c.run_id == kept.run_id,
                steps.c.name.in_(undone),
                steps.c.state == StepState.DONE.value,
            )
            .values(state=StepState.UNDONE.value)
        )
    tell(connection, kept, "workflow.step", step=name, state=state.value)


def done_steps(connection: Connection, run_id: str) -> dict[str, Any]:
    """The outputs of the steps that have their checkpoint."""
    query = select(steps.c.name, steps.c.output).where(
        steps.c.run_id == run_id, steps.c.state == StepState.DONE.value
    )
    return {name: json.loads(output) if output else None for name, output in connection.execute(query)}


def under_way(connection: Connection) -> list[Kept]:
    """What the life before has left, the oldest first."""
    query = select(jobs).where(jobs.c.state.in_(UNDER_WAY)).order_by(jobs.c.run_id)
    return [kept_of(row) for row in connection.execute(query)]


def kept(connection: Connection, project_id: str, run_id: str) -> Kept:
    return kept_of(_row(connection, project_id, run_id))


def get(connection: Connection, project_id: str | None, run_id: str) -> Run:
    """A run with its steps, in the order in which they began."""
    row = _row(connection, project_id, run_id)
    query = select(steps).where(steps.c.run_id == run_id).order_by(steps.c.started_at, steps.c.name)
    found = [
        Step(
            name=step.name,
            state=StepState(step.state),
            attempts=step.attempts,
            started_at=step.started_at,
            ended_at=step.ended_at,
            output=shown(json.loads(step.output)) if step.output else None,
            problem=json.loads(step.problem) if step.problem else None,
        )
        for step in connection.execute(query)
    ]
    return Run(
        **_short(row),
        steps=found,
        input=shown(json.loads(row.input)),
        result=json.loads(row.result) if row.result else None,
        problem=json.loads(row.problem) if row.problem else None,
    )


def is_known(connection: Connection, run_id: str) -> bool:
    return connection.execute(select(jobs.c.run_id).where(jobs.c.run_id == run_id)).scalar() is not None


def newest(connection: Connection, project_id: str, kind: str, ended: bool) -> str | None:
    query = select(func.max(jobs.c.run_id)).where(jobs.c.project_id == project_id, jobs.c.kind == kind)
    return connection.execute(query.where(jobs.c.state.in_(ENDED)) if ended else query).scalar()


def page(connection: Connection, ask: ListRuns) -> RunPage:
    """The newest first; the cursor is the last run that was told."""
    query = select(jobs).where(jobs.c.project_id == ask.project_id)
    if ask.kind is not None:
        query = query.where(jobs.c.kind == ask.kind)
    if ask.state is not None:
        query = query.where(jobs.c.state == ask.state.value)
    if ask.cursor is not None:
        if not ask.cursor.isascii() or not ask.cursor.replace("-", "").isalnum():
            raise BadCursor(f"{ask.cursor!r} is no cursor of a list of runs.")
        query = query.where(jobs.c.run_id < ask.cursor)
    rows = connection.execute(query.order_by(jobs.c.run_id.desc()).limit(ask.limit + 1)).all()
    found = [RunRow(**_short(row)) for row in rows[: ask.limit]]
    return RunPage(runs=found, next_cursor=found[-1].run_id if len(rows) > ask.limit else None)


def _row(connection: Connection, project_id: str | None, run_id: str) -> Row[Any]:
    row = connection.execute(select(jobs).where(jobs.c.run_id == run_id)).one_or_none()
    if row is None or (project_id is not None and row.project_id != project_id):
        raise RunNotFound(
            f"There is no run {run_id[:64]!r}" + (f" of {project_id!r}." if project_id else ".")
        )
    return row


def _short(row: Row[Any]) -> dict[str, Any]:
    details = json.loads(row.details) if row.details else {}
    taken = {name: getattr(row, name) for name in RunRow.model_fields if hasattr(row, name)}
    return {**taken, **{name: details.get(name) for name in ("step", "message", "done", "total")}}
