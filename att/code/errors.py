"""What can go wrong with a project's files, besides what any path can end in (`att.confine`)."""

from __future__ import annotations

from att.confine_errors import (
    PATH_ERRORS,
    FileMissing,
    FolderNotEmpty,
    GitInternals,
    NotAFile,
    PathTaken,
)
from att.problems import InvalidRequest, Problem, Unavailable
from att.project.errors import DirectoryMissing


class FileChanged(Problem):
    """Raised with `etag`, that of the present content (null: there is none)."""

    code, status, title = "file_changed", 412, "The file is not what it was"
    hint = "Read it again, put your change into what stands there now, and write with its new etag."


class InvalidPattern(InvalidRequest):
    """Raised with `position`, where in the expression the fault is seen."""

    code, title = "invalid_pattern", "This is no regular expression"
    hint = "Mend it at the position that is named, or search for it as plain text."


class TooManySearches(Unavailable):
    code, title = "too_many_searches", "Too many searches run at the moment"
    hint = "Wait for the others to end, and try again."


class SearcherMissing(Unavailable):
    code, title = "searcher_missing", "The program that searches is not there"
    hint = "Install ATT anew: its packages are not whole."


class NotText(InvalidRequest):
    code, title = "not_text", "The file is not text"
    hint = "Leave `encoding` out, or ask for base64."


ROOM: tuple[type[Problem], ...] = (DirectoryMissing, *PATH_ERRORS)
CHANGE: tuple[type[Problem], ...] = (GitInternals, NotAFile, FileChanged)

__all__ = [
    "CHANGE",
    "ROOM",
    "FileChanged",
    "FileMissing",
    "FolderNotEmpty",
    "InvalidPattern",
    "NotAFile",
    "NotText",
    "PathTaken",
    "SearcherMissing",
    "TooManySearches",
]
