"""Bytes to lines: where the lines of one stream end, and where the pieces of an over-long one do.

A line ends with "\\n". A line that grows to `PIECE` bytes is given out in pieces, so that no line of any length fills the memory;
a piece ends at `PIECE` bytes, or up to three later so as not to cut a UTF-8 character or a CRLF in two. Both depend only on
the bytes since the line began, never on how they arrived or where somebody began to read. All pieces but the last are
`continued`; joined they are the line. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from supervisor.logs.values import PIECE

EXTRA: Final = 3
_TAIL: Final = 2 * EXTRA  # bytes that must be known to find the end of a piece


@dataclass(frozen=True, slots=True)
class Open:
    """The line that a stream has begun and not ended: bytes of its present piece, whether pieces of it were given out before."""

    carry: int = 0
    mid: bool = False
    tail: bytes = b""

    @property
    def unfinished(self) -> bool:
        return self.carry > 0 or self.mid


FRESH: Final = Open()


def _whole(end: bytes) -> bool:
    """Whether bytes that end so can be cut here: no character and no CRLF begun and not ended."""
    if end[-1] == 0x0D:
        return False
    for back in range(1, min(3, len(end)) + 1):
        byte = end[-back]
        if byte < 0x80:
            return True
        if byte >= 0xC0:  # begins a character of 2, 3 or 4 bytes
            return back >= (4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2)
    return True


def piece_end(data: bytes, at: int, stop: int) -> int:
    """Where the piece that begins at `at` ends in the line known up to `stop`; -1 when it does not end there yet.

    `at` may be negative: the piece began before `data`, of which at least the last `_TAIL` bytes are in it then.
    """
    for end in range(at + PIECE, min(at + PIECE + EXTRA, stop) + 1):
        if end == at + PIECE + EXTRA or _whole(data[max(0, at, end - 3) : end]):
            return end
    return -1


def count(data: bytes) -> int:
    """How many "\\n" there are. (Deleting them is faster than counting them, unless they are dense.)"""
    n = len(data)
    if n > 4096 and data.count(b"\n", 0, 1024) <= 40:
        return n - len(data.replace(b"\n", b""))
    return data.count(b"\n")


def advance(before: Open, data: bytes) -> tuple[Open, int]:
    """The open line after `data` has come, and how many lines and pieces ended in it."""
    if not data:
        return before, 0
    pieces = 0
    pos = -before.carry  # where the present piece begins, seen from `data`
    mid = before.mid
    size = len(data)
    while size - pos >= PIECE:
        newline = data.rfind(b"\n", max(pos, 0), pos + PIECE)
        if newline >= 0:  # all lines that end in this stretch are short ones
            pos, mid = newline + 1, False
            continue
        shift = len(before.tail) if pos < 0 else 0
        known = before.tail + data[: max(0, pos + PIECE + EXTRA)] if shift else data
        stop = data.find(b"\n", max(pos + PIECE, 0), pos + PIECE + EXTRA)
        end = piece_end(known, pos + shift, (stop if stop >= 0 else size) + shift) - shift
        if end + shift < 0:
            if stop < 0:
                break
            pos, mid = stop + 1, False
            continue
        pos, mid, pieces = end, True, pieces + 1
    last = data.rfind(b"\n", max(pos, 0))
    if last >= 0:
        pos, mid = last + 1, False
    tail = (before.tail + data[max(0, size - _TAIL) :])[-_TAIL:] if size - pos else b""
    return Open(size - pos, mid, tail[-(size - pos) :] if tail else b""), pieces + count(data)


def split(data: bytes, at: int, mid: bool) -> tuple[list[tuple[int, int, bool]], int, bool]:
    """The lines that end in `data` as (begin, end, continued), where what is left begins, and whether it is mid-line.

    `at` is where the present piece begins (negative: before `data`); the "\\n" that ends a line is at its `end`.
    """
    found: list[tuple[int, int, bool]] = []
    begin = at
    while True:
        newline = data.find(b"\n", max(begin, 0))
        stop = newline if newline >= 0 else len(data)
        while (end := piece_end(data, begin, stop)) >= 0:
            found.append((begin, end, True))
            begin, mid = end, True
        if newline < 0:
            return found, begin, mid
        found.append((begin, newline, False))
        begin, mid = newline + 1, False


def text(line: bytes) -> str:
    """What a person reads: UTF-8 with replacement of what is not, without the CR of a CRLF."""
    return line.removesuffix(b"\r").decode("utf-8", "replace")
