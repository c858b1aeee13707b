"""What a reader or an owner of a log can do wrong, and what can be wrong with its folder: a short tree of typed errors.

Each carries the stable `code` under which the doors tell it.
"""

from __future__ import annotations

from typing import ClassVar


class LogError(Exception):
    """Something is wrong with a request to a log."""

    code: ClassVar[str] = "log_error"


class BadCursor(LogError):
    """The text is not a cursor: give back one that an answer carried, or the words `oldest` or `newest`."""

    code = "bad_cursor"


class CursorOfAnotherProject(LogError):
    """The cursor was given out by the log of another project."""

    code = "cursor_of_another_project"


class BadFilter(LogError):
    """A filter cannot be used: unknown stream or level, or a pattern that is no regular expression or is too long."""

    code = "bad_filter"


class PatternTooSlow(BadFilter):
    """The pattern takes too long on this log's lines; a simpler one will do."""

    code = "pattern_too_slow"


class LogClosed(LogError):
    """The log was closed while it was asked; it can be read again by the same cursor after it is open again."""

    code = "log_closed"


class LogUnusable(LogError):
    """The folder of the log cannot be used: not readable, not writable, or its files are of a newer form."""

    code = "log_unusable"
