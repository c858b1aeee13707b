"""Cursors: where a reader stands in a log, as opaque text.

A cursor is the log's tag and an absolute offset, `"{tag}-{offset}"`. The tag is made from the log's id, so that a cursor of
another project is recognised. What it means: all lines that ended at or before the offset have been seen.
"""

from __future__ import annotations

import re
from hashlib import blake2s
from typing import Final

from supervisor.logs.errors import BadCursor, CursorOfAnotherProject

OLDEST: Final = "oldest"
NEWEST: Final = "newest"
_FORM: Final = re.compile(r"([a-z2-7]{6})-(0|[1-9][0-9]{0,18})", re.ASCII)
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


def tag(log_id: str) -> str:
    """Six letters that stand for a log."""
    number = int.from_bytes(blake2s(log_id.encode(), digest_size=8).digest(), "big")
    return "".join(_LETTERS[number >> 5 * i & 31] for i in range(6))


def write(log_tag: str, offset: int) -> str:
    return f"{log_tag}-{offset}"


def read(text: str, log_tag: str, oldest: int, newest: int) -> int:
    """The offset of a cursor. The words `oldest` and `newest` are cursors too.

    An offset after the newest was never given out by this log, so it is refused.
    """
    if text == OLDEST:
        return oldest
    if text == NEWEST:
        return newest
    form = _FORM.fullmatch(text)
    if form is None:
        raise BadCursor("this is not a cursor of a log")
    if form[1] != log_tag:
        raise CursorOfAnotherProject("this cursor was given out by the log of another project")
    offset = int(form[2])
    if offset > newest:
        raise BadCursor("this cursor lies after the newest line")
    return offset
