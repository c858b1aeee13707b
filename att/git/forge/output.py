"""The output of a check on disk: bounded, read by absolute position while it is still written.

It is kept in segments that are named by where they begin. When one is full the next begins, and only the newest two stay: so
the end of the output, where failures stand, is always there, and a reader of what is gone is told how much that is.
"""

from __future__ import annotations

import errno
from pathlib import Path

from att.git.forge.pages import Piece, position, whole

SEGMENT = 4 << 20
"""Bytes of a segment; twice as much is kept at the most."""


class Output:
    """Written by one check that runs. A full disk ends the keeping, not the check."""

    def __init__(self, folder: Path, segment: int = SEGMENT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in segments(folder):
            old.unlink()
        self.full = False
        self._folder = folder
        self._segment = segment
        self._begin = 0
        self._size = 0
        self._file = (folder / _name(0)).open("ab", buffering=0)

    def line(self, text: str) -> None:
        """One line more; to be had by readers when this returns."""
        if self.full:
            return
        data = f"{text}\n".encode("utf-8", "replace")
        try:
            if self._size and self._size + len(data) > self._segment:
                self._turn()
            self._file.write(data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
                raise
            self.full = True
        else:
            self._size += len(data)

    def close(self) -> None:
        self._file.close()

    def _turn(self) -> None:
        self._file.close()
        self._begin += self._size
        self._size = 0
        self._file = (self._folder / _name(self._begin)).open("ab", buffering=0)
        for old in segments(self._folder)[:-2]:
            old.unlink()


def _name(begin: int) -> str:
    return f"{begin:015d}.log"


def segments(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted(folder.glob("*.log"))


def read(folder: Path, cursor: str | None, limit: int, *, over: bool) -> Piece | None:
    """What stands at the cursor (None: at the beginning of what is kept). None when nothing is kept at all.

    `over`: nothing more will be written.
    """
    begin = position(cursor)
    kept = segments(folder)
    if not kept:
        return None
    oldest = int(kept[0].stem)
    lost = max(0, oldest - begin)
    begin = max(begin, oldest)
    text = bytearray()
    end = oldest
    for file in kept:
        start = int(file.stem)
        try:
            with file.open("rb") as opened:
                size = opened.seek(0, 2)
                if len(text) < limit and start <= begin + len(text) < start + size:
                    opened.seek(begin + len(text) - start)
                    text += opened.read(limit - len(text))
        except FileNotFoundError:  # it went between listing and reading: begin anew with what is kept now
            return read(folder, cursor, limit, over=over)
        end = start + size
    begin = min(begin, end)
    at_end = begin + len(text) >= end
    cut = whole(bytes(text), end=at_end and over)
    return Piece(cut.decode("utf-8", "replace"), str(begin + len(cut)), over and at_end, lost)
