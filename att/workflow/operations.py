"""What can be asked about long work: which runs there are, how one goes, its end, and going on with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from att.catalogue import Call, Chunks, Effect, Room, Stream
from att.confine_errors import (
    FileMissing,
    FileUnavailable,
    GitInternals,
    InvalidPath,
    NotAFile,
    PathOutsideProject,
)
from att.git import errors as git
from att.problems import BadCursor, ProjectNotFound
from att.project.errors import DirectoryMissing
from att.store.errors import DiskFull
from att.workflow import errors
from att.workflow.changes import ChangeTest
from att.workflow.models import AskRun, CancelRun, ListRuns, ResumeRun, Run, RunPage

if TYPE_CHECKING:
    from att.workflow.change_test import Changes
    from att.workflow.runs import Runs

room = Room("workflow", errors=(ProjectNotFound,))


def _frame(name: str, cursor: str, content: Mapping[str, Any], sse: bool) -> bytes:
    text = json.dumps({"type": name, "cursor": cursor, **content})
    return f"id: {cursor}\nevent: {name}\ndata: {text}\n\n".encode() if sse else f"{text}\n".encode()


async def _progress(ask: AskRun, runs: Runs, after: str | None, sse: bool) -> AsyncIterator[bytes]:
    """Ends with `done`, or without it when the daemon leaves: the next life goes on."""
    board = runs.board(ask.run_id)
    name = board.name if board is not None else "0"
    number = board.number(after) if board is not None else 0
    async for block in runs.follow(ask.run_id, number):
        for entry in block:
            number = entry.number
            told = {"line": entry.line, "phase": entry.step, "progress": entry.share}
            yield _frame("progress", f"{name}-{number}", told, sse)
    run = await runs.get(ask.project_id, ask.run_id)
    if run.state.ended:
        told = {"state": run.state.value, "error": _error(run)}
        yield _frame("done", f"{name}-{number}", told, sse)


def _error(run: Run) -> str | None:
    if run.state == "succeeded":
        return None
    return str((run.problem or {}).get("detail") or f"The run was {run.state.value}.")


async def open_sse(ask: AskRun, call: Call, runs: Runs) -> Chunks:
    await runs.get(ask.project_id, ask.run_id)
    return _progress(ask, runs, call.last_event_id, True)


async def open_ndjson(ask: AskRun, call: Call, runs: Runs) -> Chunks:
    await runs.get(ask.project_id, ask.run_id)
    return _progress(ask, runs, call.last_event_id, False)


@room.operation(
    "GET",
    "/projects/{project_id}/workflows/runs",
    effect=Effect.READ,
    errors=(BadCursor,),
    name="workflow.list",
)
async def list_all(ask: ListRuns, runs: Runs) -> RunPage:
    """List the runs of a project (tests, builds, deploys, workflows), the newest first."""
    return await runs.page(ask)


@room.operation(
    "GET",
    "/projects/{project_id}/workflows/runs/{run_id}",
    effect=Effect.READ,
    errors=(errors.RunNotFound,),
    streams=(Stream("text/event-stream", open_sse), Stream("application/x-ndjson", open_ndjson)),
)
async def status(ask: AskRun, runs: Runs) -> Run:
    """How a run stands, with its steps and its result; as a stream, how it goes on until its end."""
    return await runs.wait(ask.run_id, ask.wait, ask.project_id)


@room.operation(
    "POST",
    "/projects/{project_id}/workflows/runs/{run_id}/cancel",
    effect=Effect.WRITE,
    errors=(errors.RunNotFound, errors.RunEnded),
)
async def cancel(ask: CancelRun, call: Call, runs: Runs) -> Run:
    """End a run; all that it started is ended, and what it did is taken back."""
    return await runs.cancel(ask.project_id, ask.run_id, call, wait=ask.wait)


@room.operation(
    "POST",
    "/projects/{project_id}/workflows/runs/{run_id}/resume",
    effect=Effect.WRITE,
    status=202,
    errors=(errors.RunNotFound, errors.RunNotResumable, errors.RunBusy, errors.RunsStopping),
    progress="workflow.status",
)
async def resume(ask: ResumeRun, call: Call, runs: Runs) -> Run:
    """Go on with a run that failed, was cancelled or interrupted; what it has done already is not done again."""
    return await runs.resume(ask.project_id, ask.run_id, call, wait=ask.wait)


@room.operation(
    "POST",
    "/projects/{project_id}/workflows/change-test",
    effect=Effect.WRITE,
    status=202,
    errors=(
        DirectoryMissing,
        *(PathOutsideProject, InvalidPath, FileMissing, FileUnavailable, GitInternals, NotAFile),
        *(git.GitMissing, git.GitFailed, git.GitTimedOut, git.OutputTooLarge, git.RepositoryElsewhere),
        *(git.RepositoryDamaged, git.NotARepository, git.RepositoryAbove),
        *(git.MergeInProgress, git.DetachedHead, git.InvalidBranch, git.BranchExists),
        *(git.EmptyMessage, git.InvalidMessage),
        *(errors.FilesDirty, errors.PatchRefused, errors.NothingToChange, errors.InvalidChange),
        *(errors.TooLarge, errors.RunBusy, errors.RunsStopping, DiskFull),
    ),
    progress="workflow.status",
)
async def change_test(ask: ChangeTest, call: Call, changes: Changes) -> Run:
    """Change files, run the tests and commit; when a test fails everything is put back as it was.

    The run's steps are look, change, test and commit. What its problem says is why it failed; `test` in it has the counts.
    """
    return await changes.begin(ask, call)
