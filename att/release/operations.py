"""What can be asked about ATT's own releases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from att.catalogue import Call, Chunks, Effect, Room, Stream
from att.problems import BadCursor
from att.release import errors
from att.release.models import (
    AskRelease,
    CancelStaging,
    ListReleases,
    Release,
    ReleasePage,
    RollBack,
    StageRelease,
    SwitchRelease,
)

if TYPE_CHECKING:
    from att.release.releases import Releases

room = Room("release", errors=(errors.RecordUnreadable,))

_LAUNCHER = (errors.NoLauncher, errors.LauncherSilent, errors.SwitchRefused)


@room.operation("GET", "/releases", effect=Effect.READ, errors=(BadCursor,), name="release.list")
async def list_all(ask: ListReleases, releases: Releases) -> ReleasePage:
    """List the releases of ATT itself, the newest first."""
    rows, rung = await releases.rows()
    start = 0
    if ask.cursor is not None:
        start = next((at + 1 for at, row in enumerate(rows) if row.id == ask.cursor), -1)
        if start < 0:
            raise BadCursor("The release that the cursor names is gone.")
    page = rows[start : start + ask.limit]
    more = start + len(page) < len(rows)
    return ReleasePage(releases=page, next_cursor=page[-1].id if more else None, rung=rung)


async def _progress(ask: AskRelease, call: Call, releases: Releases, sse: bool) -> AsyncIterator[bytes]:
    from att.release.progress import frames

    found = await releases.status(ask.release_id)
    return frames(releases, found.id, call.last_event_id, sse)


async def open_sse(ask: AskRelease, call: Call, releases: Releases) -> Chunks:
    return await _progress(ask, call, releases, True)


async def open_ndjson(ask: AskRelease, call: Call, releases: Releases) -> Chunks:
    return await _progress(ask, call, releases, False)


@room.operation(
    "GET",
    "/releases/{release_id}",
    effect=Effect.READ,
    errors=(errors.ReleaseNotFound,),
    streams=(Stream("text/event-stream", open_sse), Stream("application/x-ndjson", open_ndjson)),
)
async def status(ask: AskRelease, releases: Releases) -> Release:
    """How a release stands; as a stream, how its making or the switch to it goes on."""
    return await releases.status(ask.release_id, verify=ask.verify)


@room.operation(
    "POST",
    "/releases",
    effect=Effect.WRITE,
    status=202,
    errors=(
        *_LAUNCHER,
        errors.StagingUnderWay,
        errors.SourceNotFound,
        errors.SourceInvalid,
        errors.NoRepository,
        errors.GitFailed,
    ),
    positional=("source",),
    progress="release.status",
)
async def stage(ask: StageRelease, call: Call, releases: Releases) -> Release:
    """Begin to make a release of ATT from a folder or a commit."""
    return await releases.stage(ask.source, ask.repository, call)


@room.operation(
    "POST",
    "/releases/{release_id}/cancel",
    effect=Effect.WRITE,
    errors=(errors.ReleaseNotFound, errors.NothingToCancel),
)
async def cancel(ask: CancelStaging, releases: Releases) -> Release:
    """End the making of a release; nothing of it is left."""
    return await releases.cancel(ask.release_id)


@room.operation(
    "POST",
    "/releases/{release_id}/switch",
    effect=Effect.WRITE,
    status=202,
    errors=(
        *_LAUNCHER,
        errors.ReleaseNotFound,
        errors.ReleaseFailedBefore,
        errors.ReleaseUnusable,
        errors.AlreadyCurrent,
        errors.StagingUnderWay,
        errors.SwitchUnderWay,
    ),
    progress="release.status",
)
async def switch(ask: SwitchRelease, call: Call, releases: Releases) -> Release:
    """Have a release take over from the one that runs; without a gap, and back if it does not stand."""
    return await releases.switch(ask.release_id, call, force=ask.force)


@room.operation(
    "POST",
    "/releases/rollback",
    effect=Effect.WRITE,
    status=202,
    errors=(*_LAUNCHER, errors.NoWayBack),
    progress="release.status",
)
async def rollback(ask: RollBack, call: Call, releases: Releases) -> Release:
    """Go back to the good release before this one."""
    return await releases.roll_back(call)
