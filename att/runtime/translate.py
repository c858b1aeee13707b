"""From the supervisor's words to the contract's: its errors to problems, its status to `RuntimeStatus`.

The one place where both are known. A start that failed is told by the app's own error where its lines hold one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from att.problems import BadCursor, Problem
from att.runtime import disk, ports, preflight, truth
from att.runtime.app import App, moment
from att.runtime.errors import (
    AlreadyRunning,
    BadFilter,
    CommandNotFound,
    CursorOfAnotherProject,
    LogUnusable,
    NotRunning,
    StartFailed,
    StartTimeout,
)
from att.runtime.models import ProbeReport, RunReport, RuntimeStatus, StateName
from supervisor import errors as supervision
from supervisor.logs import errors as logging
from supervisor.runner import ProbeStatus, RunnerStatus


def problem_of(fault: supervision.SupervisorError, app: App) -> Problem:
    """The problem that tells of a supervisor's error."""
    name = app.project_id
    match fault:
        case supervision.AlreadyRunning():
            return AlreadyRunning(f"{name} runs already")
        case supervision.NotRunning() | supervision.RunnerClosed():
            return NotRunning(f"{name} does not run")
        case supervision.SpawnFailed():
            return CommandNotFound(str(fault), command=app.spec.command[0])
        case supervision.WaitTimedOut():
            return StartTimeout(f"{name} is not ready yet")
        case supervision.StartCancelled():
            return StartFailed(f"{name} was stopped while it started", lines=[])
        case _:
            return StartFailed(str(fault), lines=app.last_words[-30:])


async def reached(app: App, wish: asyncio.Task[RunnerStatus]) -> None:
    """Returns when the app is what `wish` waits for; else raises what hinders it. A cancelled caller ends no wish."""
    try:
        await asyncio.shield(wish)
        await app.settled()  # who is told that it runs may read so in the project and in the events
    except supervision.StartFailed as fault:
        await app.settled()
        raise await asyncio.to_thread(_start_failed, app, fault) from fault
    except supervision.SupervisorError as fault:
        raise problem_of(fault, app) from fault


def _start_failed(app: App, fault: supervision.StartFailed) -> Problem:
    said = app.error
    lines = app.last_words[-30:]
    if said is None:
        return StartFailed(str(fault), lines=lines, exit_code=fault.exit_code, exit_signal=fault.exit_signal)
    try:
        preflight.refuse(said)
    except Problem as problem:
        return problem
    if said.cause is truth.Cause.PORT_IN_USE:
        return ports.in_use(app.spec.host, said.port or app.spec.port)
    hint = None
    if said.cause is truth.Cause.MODULE_MISSING:
        hint = f"Add the package that brings `{said.module}` to the project's dependencies and build its environment again."
    return StartFailed(
        said.text, hint=hint, lines=lines, exit_code=fault.exit_code, exit_signal=fault.exit_signal
    )


@contextmanager
def logs() -> Iterator[None]:
    """Errors of the log as problems."""
    try:
        yield
    except logging.CursorOfAnotherProject as fault:
        raise CursorOfAnotherProject(
            str(fault), fields=[{"field": "cursor", "message": str(fault)}]
        ) from None
    except logging.BadCursor as fault:
        raise BadCursor(str(fault), fields=[{"field": "cursor", "message": str(fault)}]) from None
    except logging.BadFilter as fault:
        raise BadFilter(str(fault), fields=[{"field": "grep", "message": str(fault)}]) from None
    except logging.LogError as fault:
        raise disk.refusal(fault.__cause__, str(fault), LogUnusable) from fault


def status(app: App, now: RunnerStatus) -> RuntimeStatus:
    """How the current app is."""
    reason = now.reason
    state = now.state.value
    if app.gave_up and state == "stopped":
        state, reason = "failed", app.stop_reason
    elif app.error is not None and state in ("failed", "backoff"):
        reason = app.error.text
    return RuntimeStatus(
        project_id=app.project_id,
        state=cast(StateName, state),
        run_id=now.run_id,
        pid=now.pid,
        command=list(now.command),
        url=_url(now.host, now.port),
        host=now.host or None,
        port=now.port or None,
        started_at=moment(now.started_at),
        ready_at=moment(now.ready_at),
        exited_at=moment(now.exited_at),
        exit_code=now.exit_code,
        exit_signal=now.exit_signal,
        restarts=now.restarts,
        backoff_until=moment(now.backoff_until),
        healthy=now.healthy,
        health_probe=now.health_probe,
        health_reason=now.health_reason,
        health_checked_at=moment(now.health_checked_at),
        probes=[_probe(probe) for probe in now.probes],
        cpu_percent=now.cpu_percent,
        rss_bytes=now.rss_bytes,
        processes=now.processes,
        open_files=now.open_files,
        threads=now.threads,
        log_cursor=now.log_cursor or app.log_cursor,
        reason=reason,
        runs=runs(app, now),
        artefact_id=app.artefact_id,
        warnings=list(app.ready.warnings),
        nat_version=app.ready.place.nat_version or None,
    )


def runs(app: App, now: RunnerStatus) -> list[RunReport]:
    """The runs of one version."""
    return [RunReport(run_id=r.run_id, pid=r.pid, role=app.role, state=r.state.value) for r in now.runs]


def past(project_id: str, row: Mapping[str, Any] | None) -> RuntimeStatus:
    """How the app was when it was last run."""
    if row is None:
        return RuntimeStatus(project_id=project_id)
    return RuntimeStatus(
        project_id=project_id,
        state="failed" if row["state"] == "failed" else "stopped",
        run_id=row["run_id"],
        command=row["command"],
        url=_url(row["host"], row["port"]),
        host=row["host"] or None,
        port=row["port"] or None,
        started_at=row["started_at"],
        ready_at=row["ready_at"],
        exited_at=row["exited_at"],
        exit_code=row["exit_code"],
        exit_signal=row["exit_signal"],
        restarts=row["restarts"],
        log_cursor=row["log_cursor"],
        reason=row["reason"] or "",
        artefact_id=row["details"].get("artefact_id"),
    )


def _probe(probe: ProbeStatus) -> ProbeReport:
    return ProbeReport(
        name=probe.name,
        kind=probe.kind,
        use=list(probe.use),
        healthy=probe.healthy,
        reason=probe.reason,
        checked_at=moment(probe.checked_at),
        latency_ms=probe.latency_ms,
        successes=probe.successes,
        failures=probe.failures,
    )


def _url(host: str | None, port: int | None) -> str | None:
    if not port:
        return None
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1", None: "127.0.0.1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{shown}]:{port}" if shown and ":" in shown else f"http://{shown}:{port}"
