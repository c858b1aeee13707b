"""What can be asked about a project's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Call, Effect, Room
from att.code import errors
from att.code.models import (
    AskDiff,
    DeletedFile,
    DeleteFile,
    Diff,
    FileContent,
    FilePage,
    ListFiles,
    Matches,
    MovedFile,
    MoveFile,
    ReadFile,
    SearchFiles,
    WriteFile,
    WrittenFile,
)
from att.git.errors import (
    GitFailed,
    GitMissing,
    GitTimedOut,
    NoCommits,
    NotARepository,
    OutputTooLarge,
    RemoteRefused,
    RepositoryAbove,
    RepositoryDamaged,
    RepositoryElsewhere,
    UnknownRevision,
)
from att.problems import BadCursor, Problem, ProjectNotFound
from att.store.errors import DiskFull

if TYPE_CHECKING:
    from att.code.files import Code

room = Room("code", errors=(ProjectNotFound, *errors.ROOM))

_FILES = "/projects/{project_id}/files"
_ONE = _FILES + "/{path:.+}"
_ANY = _FILES + "/content"
_GIT: tuple[type[Problem], ...] = (
    *(GitFailed, GitMissing, GitTimedOut, NoCommits, NotARepository, OutputTooLarge),
    *(RemoteRefused, RepositoryAbove, RepositoryDamaged, RepositoryElsewhere, UnknownRevision),
)


@room.operation("GET", _FILES, effect=Effect.READ, errors=(BadCursor,), name="code.list")
async def list_files(ask: ListFiles, code: Code) -> FilePage:
    """List a project's files in the order of their paths, without what is ignored."""
    return await code.list(ask)


@room.operation("GET", _ONE, effect=Effect.READ, errors=(errors.NotAFile, errors.NotText), also=_ANY)
async def read(ask: ReadFile, code: Code) -> FileContent:
    """Read a file, or a part of it, as text or base64."""
    return await code.read(ask)


@room.operation(
    "PUT", _ONE, effect=Effect.WRITE, idempotent=True, errors=(*errors.CHANGE, DiskFull), also=_ANY
)
async def write(ask: WriteFile, call: Call, code: Code) -> WrittenFile:
    """Write a whole file at once; with `if_match` only over the content that was read."""
    return await code.write(ask, call)


@room.operation(
    "DELETE",
    _ONE,
    effect=Effect.DESTRUCTIVE,
    errors=(*errors.CHANGE, errors.FolderNotEmpty, DiskFull),
    also=_ANY,
)
async def delete(ask: DeleteFile, call: Call, code: Code) -> DeletedFile:
    """Delete a file, a link or a directory."""
    return await code.delete(ask, call)


@room.operation(
    "POST",
    _FILES + "/move",
    effect=Effect.WRITE,
    errors=(*errors.CHANGE, errors.PathTaken, DiskFull),
    positional=("project_id", "source", "target"),
)
async def move(ask: MoveFile, call: Call, code: Code) -> MovedFile:
    """Move or rename a file or a directory within the project."""
    return await code.move(ask, call)


@room.operation(
    "POST",
    _FILES + "/search",
    effect=Effect.READ,
    errors=(errors.InvalidPattern, errors.SearcherMissing, errors.TooManySearches),
    positional=("project_id", "query"),
)
async def search(ask: SearchFiles, code: Code) -> Matches:
    """Search the files for text or an expression (ripgrep's: Rust's regex, or PCRE2's), line by line, in bounded time."""
    return await code.search(ask)


@room.operation("GET", _FILES + "/diff", effect=Effect.READ, errors=_GIT)
async def diff(ask: AskDiff, code: Code) -> Diff:
    """Compare the working tree with a commit, or two commits, as a unified diff."""
    return await code.diff(ask)
