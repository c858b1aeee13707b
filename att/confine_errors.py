"""What a path in a project's directory can end in, and how an error of the file system is told as one of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from att.problems import Conflict, Forbidden, InvalidRequest, NotFound, Problem
from att.store.errors import DiskFull


class PathOutsideProject(Forbidden):
    code, title = "path_outside_project", "The path leads out of the project"
    hint = "Give a path relative to the project's directory, without `..`; links must stay inside."


class GitInternals(Forbidden):
    code, title = "git_internals", "The insides of `.git` are git's own"
    hint = "Use the operations of the git room; remove a repository inside the project by hand."


class InvalidPath(InvalidRequest):
    code, title = "invalid_path", "This is no usable path"
    hint = "Use names of at most 255 bytes, and no links that lead in a circle."


class FileMissing(NotFound):
    code, title = "file_not_found", "There is no such file"
    hint = "`att code list` tells which files there are."


class NotAFile(Conflict):
    code, title = "not_a_file", "There is something else than a file at this path"
    hint = "Only regular files can be read and written; list a directory instead."


class PathTaken(Conflict):
    code, title = "path_taken", "There is something at this path already"
    hint = "Take another path, or say that it may be replaced."


class FolderNotEmpty(Conflict):
    code, title = "folder_not_empty", "The directory is not empty"
    hint = "Ask with `recursive` to delete all that is in it."


class FileUnavailable(Problem):
    code, status, title = "file_unavailable", 503, "The file system does not allow it"
    hint = "Check the owner and the permissions of the file, for the user that ATT runs as."


PATH_ERRORS: tuple[type[Problem], ...] = (PathOutsideProject, InvalidPath, FileMissing, FileUnavailable)
"""What any look at a path can end in."""


@contextmanager
def told(relative: str) -> Iterator[None]:
    """Errors of the file system as typed problems."""
    try:
        yield
    except OSError as error:
        raise problem_of(error, relative) from error


def problem_of(error: OSError, relative: str) -> Problem:
    """The typed problem behind an error of the file system."""
    shown = relative[:200]
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return FileMissing(f"There is nothing at {shown!r}.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"There is no space left for {shown!r}.")
    if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ):
        return invalid(relative, "cannot be used")
    if error.errno == errno.ELOOP:
        return invalid(relative, "leads in a circle")
    if error.errno == errno.EISDIR:
        return NotAFile(f"{shown!r} is a directory.")
    if error.errno == errno.ENOTEMPTY:
        return FolderNotEmpty(f"{shown!r} is not empty.")
    if error.errno == errno.EEXIST:
        return PathTaken(f"There is something at {shown!r} already.")
    return FileUnavailable(f"{shown!r}: {error.strerror or error}.")


def outside(relative: str) -> PathOutsideProject:
    return PathOutsideProject(f"{relative[:200]!r} leads out of the project.")


def invalid(relative: str, why: str) -> InvalidPath:
    detail = f"{relative[:200]!r} {why}."
    return InvalidPath(detail, fields=[{"field": "path", "message": f"{why}."}])
