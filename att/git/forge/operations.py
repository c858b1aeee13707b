"""What can be asked of a project's forge: pull requests, reviews, checks. The same at GitHub and at the local forge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from att.catalogue import Call, Chunks, Effect, Stream
from att.git.errors import DetachedHead, MergeConflict
from att.git.forge import errors
from att.git.forge.models import (
    AddReview,
    Check,
    CheckLog,
    CheckPage,
    CreatePull,
    ListChecks,
    ListPulls,
    Merged,
    MergePull,
    OneCheck,
    OnePull,
    PullPage,
    PullRequest,
    ReadCheckLog,
    Review,
    ReviewList,
    Verdict,
)
from att.git.room import room
from att.problems import BadCursor, Conflict, InvalidRequest
from att.store.errors import DiskFull

if TYPE_CHECKING:
    from att.git.forge.forges import Forges

_PULLS = "/projects/{project_id}/git/pr"
_CHECKS = "/projects/{project_id}/git/actions"
_HELD_BACK = (
    errors.PullNotOpen,
    errors.HeadMoved,
    errors.NothingToMerge,
    MergeConflict,
    errors.ChecksPending,
    errors.ChecksFailed,
    errors.ReviewRequired,
    errors.BranchNotOnForge,
    Conflict,
)
_FOLLOW_WAIT = 20.0


@room.operation(
    "GET",
    _CHECKS,
    effect=Effect.READ,
    errors=(*errors.ALWAYS, *errors.BRANCHES, errors.ForgeNotFound, errors.PullNotFound, BadCursor),
    name="git.actions",
)
async def actions(ask: ListChecks, forges: Forges) -> CheckPage:
    """List the checks (CI runs) of the project, of a branch, of a commit or of a pull request, newest first."""
    return await (await forges.of(ask.project_id)).checks(ask)


async def _follow(ask: ReadCheckLog, first: CheckLog, forges: Forges, sse: bool) -> AsyncIterator[bytes]:
    found = first
    while True:
        if found.text or found.lost or found.complete:
            text = found.model_dump_json()
            yield (f"id: {found.next_cursor}\nevent: log\ndata: {text}\n\n" if sse else f"{text}\n").encode()
        if found.complete:
            return
        ask = ask.model_copy(update={"cursor": found.next_cursor, "wait": _FOLLOW_WAIT})
        found = await (await forges.of(ask.project_id)).log(ask)


async def _opened(ask: ReadCheckLog, call: Call, forges: Forges, sse: bool) -> Chunks:
    ask = ask.model_copy(update={"cursor": call.last_event_id or ask.cursor})
    first = await (await forges.of(ask.project_id)).log(ask)
    return _follow(ask, first, forges, sse)


async def open_log_sse(ask: ReadCheckLog, call: Call, forges: Forges) -> Chunks:
    return await _opened(ask, call, forges, True)


async def open_log_ndjson(ask: ReadCheckLog, call: Call, forges: Forges) -> Chunks:
    return await _opened(ask, call, forges, False)


@room.operation(
    "GET",
    _CHECKS + "/{run}/logs",
    effect=Effect.READ,
    errors=(*errors.ALWAYS, errors.CheckNotFound, errors.LogGone, BadCursor),
    streams=(
        Stream("text/event-stream", open_log_sse),
        Stream("application/x-ndjson", open_log_ndjson),
    ),
    name="git.actions.logs",
)
async def action_logs(ask: ReadCheckLog, forges: Forges) -> CheckLog:
    """Read a check's output piece by piece; as a stream, follow it to its end."""
    return await (await forges.of(ask.project_id)).log(ask)


@room.operation(
    "POST",
    _CHECKS + "/{run}/cancel",
    effect=Effect.WRITE,
    errors=(*errors.ALWAYS, DiskFull, errors.ForgeNotFound, errors.CheckNotFound, errors.CheckNotRunning),
    name="git.actions.cancel",
)
async def cancel_action(ask: OneCheck, call: Call, forges: Forges) -> Check:
    """Cancel a check that is queued or runs."""
    return await (await forges.of(ask.project_id)).cancel(ask.run, call)


@room.operation(
    "POST",
    _CHECKS + "/{run}/rerun",
    effect=Effect.WRITE,
    errors=(*errors.ALWAYS, DiskFull, errors.ForgeNotFound, errors.CheckNotFound, errors.CheckRunning),
    name="git.actions.rerun",
)
async def rerun_action(ask: OneCheck, call: Call, forges: Forges) -> Check:
    """Run a check that has ended once more."""
    return await (await forges.of(ask.project_id)).rerun(ask.run, call)


@room.operation(
    "POST",
    _PULLS,
    effect=Effect.WRITE,
    status=201,
    errors=(
        *errors.ALWAYS,
        *errors.BRANCHES,
        errors.ForgeNotFound,
        errors.BranchNotOnForge,
        errors.NothingToMerge,
        errors.PullExists,
        DetachedHead,
    ),
    positional=("project_id", "title"),
    name="git.pr.create",
)
async def create_pull(ask: CreatePull, call: Call, forges: Forges) -> PullRequest:
    """Make a pull request from a branch into another; its checks begin."""
    return await (await forges.of(ask.project_id)).create(ask, call)


@room.operation(
    "GET",
    _PULLS,
    effect=Effect.READ,
    errors=(*errors.ALWAYS, *errors.BRANCHES, errors.ForgeNotFound, BadCursor),
    name="git.pr.list",
)
async def list_pulls(ask: ListPulls, forges: Forges) -> PullPage:
    """List the pull requests, newest first."""
    return await (await forges.of(ask.project_id)).pulls(ask)


@room.operation(
    "POST",
    _PULLS + "/merge",
    effect=Effect.WRITE,
    errors=(*errors.ALWAYS, *errors.BRANCHES, errors.ForgeNotFound, errors.PullNotFound, *_HELD_BACK),
    positional=("project_id", "number"),
    name="git.pr.merge",
)
async def merge_pull(ask: MergePull, call: Call, forges: Forges) -> Merged:
    """Merge a pull request: by a merge commit, squashed or rebased; only at the commit `sha`, when that is given."""
    return await (await forges.of(ask.project_id)).merge(ask, call)


@room.operation(
    "POST",
    _PULLS + "/close",
    effect=Effect.WRITE,
    errors=(*errors.ALWAYS, *errors.BRANCHES, errors.ForgeNotFound, errors.PullNotFound, errors.PullNotOpen),
    positional=("project_id", "number"),
    name="git.pr.close",
)
async def close_pull(ask: OnePull, call: Call, forges: Forges) -> PullRequest:
    """Close a pull request without merging it."""
    return await (await forges.of(ask.project_id)).close(ask.number, call)


@room.operation(
    "GET",
    _PULLS + "/reviews",
    effect=Effect.READ,
    errors=(*errors.ALWAYS, errors.PullNotFound),
    positional=("project_id", "number"),
    aliases=("git.pr.reviews",),
    name="git.pr.review",
)
async def list_reviews(ask: OnePull, forges: Forges) -> ReviewList:
    """List the reviews of a pull request, oldest first."""
    return await (await forges.of(ask.project_id)).reviews(ask.number)


@room.operation(
    "POST",
    _PULLS + "/reviews",
    effect=Effect.WRITE,
    status=201,
    errors=(
        *errors.ALWAYS,
        *errors.BRANCHES,
        errors.ForgeNotFound,
        errors.PullNotFound,
        errors.PullNotOpen,
        errors.OwnReview,
    ),
    positional=("project_id", "number"),
    name="git.pr.review.create",
)
async def add_review(ask: AddReview, call: Call, forges: Forges) -> Review:
    """Approve a pull request, ask for changes, or comment on it."""
    if not ask.body.strip() and ask.verdict is not Verdict.APPROVE:
        message = "needed unless it approves"
        fields = [{"field": "body", "message": message}]
        raise InvalidRequest("A review that does not approve says something.", fields=fields)
    return await (await forges.of(ask.project_id)).review(ask, call)


@room.operation(
    "GET",
    _PULLS + "/{number}",
    effect=Effect.READ,
    errors=(*errors.ALWAYS, *errors.BRANCHES, errors.PullNotFound),
    name="git.pr.get",
)
async def get_pull(ask: OnePull, forges: Forges) -> PullRequest:
    """Show a pull request, and whether it can be merged."""
    return await (await forges.of(ask.project_id)).pull(ask.number)
