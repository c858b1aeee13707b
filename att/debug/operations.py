"""What can be asked of the debug room: errors, log records, and the profile of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Effect, Room
from att.confine_errors import FileUnavailable, InvalidPath, NotAFile, PathOutsideProject
from att.debug.errors import MalformedProfile, NoProfile
from att.debug.models import ErrorPage, Profile, ReadErrors, ReadProfile, ReadRecords, RecordPage
from att.problems import BadCursor, ProjectNotFound
from att.project.errors import DirectoryMissing
from att.runtime import errors
from att.store.errors import DiskFull

if TYPE_CHECKING:
    from att.runtime.service import Runtime

room = Room("debug", errors=(ProjectNotFound,))

READS = (
    BadCursor,
    errors.CursorOfAnotherProject,
    errors.BadFilter,
    errors.LogUnusable,
    DiskFull,
)


@room.operation(
    "GET",
    "/projects/{project_id}/debug/errors",
    effect=Effect.READ,
    errors=(*READS, DirectoryMissing),
    name="debug.errors",
)
async def read_errors(ask: ReadErrors, runtime: Runtime) -> ErrorPage:
    """Read the app's errors out of its log: exceptions with their frames and causes."""
    from att.debug import looking

    return await looking.errors(ask, runtime)


@room.operation(
    "GET", "/projects/{project_id}/debug/logs", effect=Effect.READ, errors=READS, name="debug.logs"
)
async def read_logs(ask: ReadRecords, runtime: Runtime) -> RecordPage:
    """Read the app's log as whole records, by level, logger, time and pattern."""
    from att.debug import looking

    return await looking.records(ask, runtime)


@room.operation(
    "GET",
    "/projects/{project_id}/debug/profile",
    effect=Effect.READ,
    errors=(
        NoProfile,
        MalformedProfile,
        PathOutsideProject,
        InvalidPath,
        NotAFile,
        FileUnavailable,
        DirectoryMissing,
        errors.InvalidSettings,
        errors.NoConfig,
        errors.InvalidYaml,
    ),
)
async def profile(ask: ReadProfile, runtime: Runtime) -> Profile:
    """Read what the profiler measured in the last evaluation: times, tokens, the slowest steps."""
    from att.debug import looking

    return await looking.profile(ask, runtime)
