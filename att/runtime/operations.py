"""What can be asked of the runtime room: the contract's `runtime.*`, and the environment of a project."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from att.catalogue import Call, Chunks, Effect, Room, Stream
from att.deploy.errors import ArtefactBroken, DeployUnderWay, NoArtefact
from att.problems import BadCursor, ProjectNotFound
from att.project.errors import DirectoryMissing
from att.runtime import errors
from att.runtime.models import (
    AskEnvironment,
    AskStatus,
    BuildEnvironment,
    CancelBuild,
    DeletedLogs,
    DeleteLogs,
    EnvironmentStatus,
    EvalResult,
    EvalRuntime,
    LogPage,
    ReadLogs,
    RestartRuntime,
    RuntimeStatus,
    StartRuntime,
    StopRuntime,
)
from att.store.errors import DiskFull
from supervisor.logs.framing import Form

if TYPE_CHECKING:
    from att.runtime.service import Runtime

room = Room("runtime", errors=(ProjectNotFound,))

REFUSALS = (
    DirectoryMissing,
    errors.InvalidSettings,
    errors.NoConfig,
    errors.InvalidYaml,
    errors.InvalidNatConfig,
    errors.UnknownComponent,
    errors.SecretMissing,
    errors.CommandNotFound,
    errors.EnvironmentNotBuilt,
    errors.EnvironmentBroken,
    errors.EnvironmentBuildFailed,
    errors.RunFolderUnusable,
    DiskFull,
)
STARTS = (
    *REFUSALS,
    errors.EnvironmentBuilding,
    errors.PortInUse,
    errors.StartFailed,
    errors.StartTimeout,
    errors.LogUnusable,
    errors.SafeMode,
    DeployUnderWay,
    NoArtefact,
    ArtefactBroken,
)
LOG = (BadCursor, errors.CursorOfAnotherProject, errors.LogUnusable, DiskFull)
ENVIRONMENT = (DirectoryMissing, errors.InvalidSettings, errors.EnvironmentBuildFailed)


@room.operation(
    "POST",
    "/projects/{project_id}/runtime/start",
    effect=Effect.WRITE,
    errors=(*STARTS, errors.AlreadyRunning),
)
async def start(ask: StartRuntime, call: Call, runtime: Runtime) -> RuntimeStatus:
    """Start the project's app; another one that runs is stopped first."""
    return await runtime.start(
        ask.project_id, call, wait=ask.wait, timeout=ask.timeout, build=ask.build, source=ask.source
    )


@room.operation(
    "POST", "/projects/{project_id}/runtime/stop", effect=Effect.WRITE, errors=(errors.NotRunning,)
)
async def stop(ask: StopRuntime, call: Call, runtime: Runtime) -> RuntimeStatus:
    """Stop the app and everything that it started.

    It is the last word: a deploy that is bringing a version of it out is cancelled, and nothing comes up after this.
    """
    return await runtime.stop(ask.project_id, call, wait=ask.wait == "stopped", timeout=ask.timeout)


@room.operation("POST", "/projects/{project_id}/runtime/restart", effect=Effect.WRITE, errors=STARTS)
async def restart(ask: RestartRuntime, call: Call, runtime: Runtime) -> RuntimeStatus:
    """Stop the app and start it with today's settings; start it when it does not run."""
    return await runtime.restart(
        ask.project_id, call, wait=ask.wait, timeout=ask.timeout, build=ask.build, source=ask.source
    )


@room.operation("GET", "/projects/{project_id}/runtime/status", effect=Effect.READ)
async def status(ask: AskStatus, runtime: Runtime) -> RuntimeStatus:
    """How the app is: state, health, resource use."""
    return await runtime.status(ask.project_id)


async def open_sse(ask: ReadLogs, call: Call, runtime: Runtime) -> Chunks:
    from att.runtime import follow

    return await follow.open_follow(ask, call.last_event_id, runtime, Form.SSE)


async def open_ndjson(ask: ReadLogs, call: Call, runtime: Runtime) -> Chunks:
    from att.runtime import follow

    return await follow.open_follow(ask, call.last_event_id, runtime, Form.NDJSON)


async def open_text(ask: ReadLogs, call: Call, runtime: Runtime) -> Chunks:
    from att.runtime import follow

    return await follow.open_follow(ask, call.last_event_id, runtime, Form.TEXT)


@room.operation(
    "GET",
    "/projects/{project_id}/runtime/logs",
    effect=Effect.READ,
    errors=(*LOG, errors.BadFilter),
    streams=(
        Stream("text/event-stream", open_sse),
        Stream("application/x-ndjson", open_ndjson),
        Stream("text/plain", open_text),
    ),
)
async def logs(ask: ReadLogs, runtime: Runtime) -> LogPage:
    """Read the app's log by cursor; as a stream, follow it."""
    from att.runtime import follow, translate

    log = await runtime.log(ask.project_id)
    with translate.logs():
        page = await log.page(ask.cursor, ask.limit, filters=follow.filters(ask), wait=ask.wait)
    return LogPage.model_construct(
        lines=list(page.lines),
        next_cursor=page.next_cursor,
        oldest_cursor=page.oldest_cursor,
        newest_cursor=page.newest_cursor,
        lost=page.lost,
    )


@room.operation(
    "DELETE",
    "/projects/{project_id}/runtime/logs",
    effect=Effect.DESTRUCTIVE,
    idempotent=True,
    errors=LOG,
    name="runtime.logs.delete",
)
async def delete_logs(ask: DeleteLogs, runtime: Runtime) -> DeletedLogs:
    """Delete the app's log up to a cursor, or all of it."""
    from att.runtime import translate

    log = await runtime.log(ask.project_id)
    with translate.logs():
        freed = await log.delete(ask.cursor)
    return DeletedLogs(
        project_id=ask.project_id, freed_bytes=freed, oldest_cursor=log.oldest, newest_cursor=log.newest
    )


@room.operation(
    "POST",
    "/projects/{project_id}/runtime/eval",
    effect=Effect.WRITE,
    errors=(*REFUSALS, errors.EvalNotInstalled, errors.EvalFailed, errors.EvalTimeout),
    name="runtime.eval",
)
async def evaluate(ask: EvalRuntime, call: Call, runtime: Runtime) -> EvalResult:
    """Run `nat eval` on the project's config and return its results."""
    return await runtime.evaluate(ask, call)


async def _environment(project_id: str, runtime: Runtime) -> EnvironmentStatus:
    return await runtime.builds.status(project_id, await runtime.folder(project_id))


@room.operation(
    "POST",
    "/projects/{project_id}/runtime/environment",
    effect=Effect.WRITE,
    status=202,
    errors=(*ENVIRONMENT, errors.EnvironmentBuilding, errors.AlreadyRunning),
    progress="runtime.environment.get",
    name="runtime.environment.build",
)
async def build_environment(ask: BuildEnvironment, call: Call, runtime: Runtime) -> EnvironmentStatus:
    """Build the project's environment; does nothing when it is up to date.

    Answers when it is built or `wait` is over; `state` is `building` meanwhile. `runtime.environment.get` tells how it goes.
    """
    await runtime.build_environment(ask.project_id, call, rebuild=ask.rebuild, wait=ask.wait)
    return await _environment(ask.project_id, runtime)


async def _progress(ask: AskEnvironment, runtime: Runtime, sse: bool) -> AsyncIterator[bytes]:
    from att.runtime.builds import progress_frames

    found = await _environment(ask.project_id, runtime)
    return progress_frames(found, runtime.builds.last(ask.project_id), sse)


async def open_progress_sse(ask: AskEnvironment, call: Call, runtime: Runtime) -> Chunks:
    return await _progress(ask, runtime, True)


async def open_progress_ndjson(ask: AskEnvironment, call: Call, runtime: Runtime) -> Chunks:
    return await _progress(ask, runtime, False)


@room.operation(
    "GET",
    "/projects/{project_id}/runtime/environment",
    effect=Effect.READ,
    errors=ENVIRONMENT,
    streams=(
        Stream("text/event-stream", open_progress_sse),
        Stream("application/x-ndjson", open_progress_ndjson),
    ),
    name="runtime.environment.get",
)
async def get_environment(ask: AskEnvironment, runtime: Runtime) -> EnvironmentStatus:
    """How the project's environment is; as a stream, the lines of its build."""
    return await _environment(ask.project_id, runtime)


@room.operation(
    "DELETE",
    "/projects/{project_id}/runtime/environment",
    effect=Effect.WRITE,
    errors=(*ENVIRONMENT, errors.NoBuildRunning),
    name="runtime.environment.cancel",
)
async def cancel_build(ask: CancelBuild, runtime: Runtime) -> EnvironmentStatus:
    """Cancel the build that is under way; nothing half built is left."""
    folder = await runtime.folder(ask.project_id)
    await runtime.builds.cancel(ask.project_id)
    return await runtime.builds.status(ask.project_id, folder)
