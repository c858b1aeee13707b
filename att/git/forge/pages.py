"""Cursors of lists and of texts: what they mean, and which are refused. Does no I/O.

A text is read by the absolute position of its bytes, and cut between characters: a piece is whole UTF-8 wherever the text is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from att.problems import BadCursor


@dataclass(frozen=True, slots=True)
class Piece:
    """`lost`: bytes that are not kept and stood between the cursor and this piece, or after it when it is the last."""

    text: str
    next_cursor: str
    last: bool
    lost: int = 0


def position(cursor: str | None) -> int:
    """The number that a cursor is; 0 for none."""
    if cursor is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,15}", cursor):
        raise BadCursor("This is no cursor of this list.")
    return int(cursor)


def page_number(cursor: str | None) -> int:
    """The page of a list that is counted in pages, from 1."""
    found = 1 if cursor is None else position(cursor)
    if not 1 <= found <= 100_000:
        raise BadCursor("This is no cursor of this list.")
    return found


def whole(text: bytes, *, end: bool) -> bytes:
    """`text` without the beginning of a character whose rest is still to come; all of it at the `end`."""
    if end:
        return text
    for back in range(1, min(4, len(text)) + 1):
        byte = text[-back]
        if byte < 0x80:
            return text
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return text[:-back] if back < length else text
    return text


def piece(text: bytes, cursor: str | None, limit: int, left_out: int) -> Piece:
    """A piece of a text that is wholly at hand, `left_out` bytes of whose end are not kept."""
    begin = min(position(cursor), len(text))
    end = min(begin + limit, len(text))
    cut = whole(text[begin:end], end=end == len(text))
    last = begin + len(cut) == len(text)
    return Piece(cut.decode("utf-8", "replace"), str(begin + len(cut)), last, left_out if last else 0)
