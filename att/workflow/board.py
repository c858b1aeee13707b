"""How far a run is, for any number of followers: they pull, by number, out of a bounded list that all of them share.

There is no queue per follower, so a slow one holds nothing. Who is behind the oldest entry that is kept goes on with that one.
Nothing of it is stored; a cursor names the board, so that one of an earlier life means: from the beginning.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

KEPT = 500
LINE = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One word on how it goes. `share`: between 0 and 1."""

    number: int
    line: str
    step: str | None
    share: float | None


class Board:
    def __init__(self, kept: int = KEPT) -> None:
        self.name = secrets.token_hex(4)
        self.step: str | None = None
        self.message: str | None = None
        self.done: float | None = None
        self.total: float | None = None
        self.closed = False
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._count = 0
        self._news = asyncio.Event()  # replaced whenever it is set: whoever holds the old one wakes

    def at(self, step: str, line: str) -> None:
        """A step begins."""
        self.step = step
        self._add(line)

    def report(self, message: str, done: float | None, total: float | None) -> None:
        self.message, self.done, self.total = message[:LINE], done, total
        self._add(self.message)

    def close(self) -> None:
        """Nothing more comes."""
        self.closed = True
        self._tell()

    @property
    def progress(self) -> dict[str, Any]:
        return {"step": self.step, "message": self.message, "done": self.done, "total": self.total}

    def number(self, cursor: str | None) -> int:
        """Where a cursor of this board stands; the beginning for any other."""
        name, _, digits = (cursor or "").partition("-")
        return int(digits) if name == self.name and digits.isascii() and digits.isdigit() else 0

    async def follow(self, after: int = 0) -> AsyncIterator[list[Entry]]:
        """The entries after a number, in blocks, as they come, until the board is closed."""
        position = after
        while True:
            news = self._news
            found = [entry for entry in self._entries if entry.number > position]
            if found:
                position = found[-1].number
                yield found
            elif self.closed:
                return
            else:
                await news.wait()

    def _add(self, line: str) -> None:
        self._count += 1
        share = None
        if self.done is not None and self.total:
            share = round(max(0.0, min(1.0, self.done / self.total)), 3)
        self._entries.append(Entry(self._count, line, self.step, share))
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
