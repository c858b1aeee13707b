"""The log of one project: takes the output of its runs, keeps it in memory and on disk, gives it out by cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

from supervisor.logs.values import Filters, Keeping, Line, LogSettings, Lost, Page


class Batch:
    """A block of lines that all followers at the same place share. `framing.frame(batch, form)` makes bytes of it."""

    lost: Lost | None  # comes before the lines
    next_cursor: str

    def __len__(self) -> int: ...
    def lines(self) -> list[Line]: ...


class Follower:
    """Pulls by cursor; costs no memory. Cancel-safe: a cancelled `next` loses nothing."""

    cursor: str  # where the next batch begins

    async def next(self, timeout: float | None = None) -> Batch | None:
        """The next batch, at once when there is one; None after `timeout` seconds without; LogClosed at the end."""

    def __aiter__(self) -> AsyncIterator[Batch]: ...


class Log:
    """One per project. `capture`, `close` and reading may be called from any thread; async methods from any loop."""

    id: str

    @classmethod
    def open(
        cls,
        id: str,
        folder: Path,
        settings: LogSettings = LogSettings(),
        on_keeping: Callable[[Keeping], None] | None = None,
    ) -> Self:
        """Recovers what an earlier life left. `on_keeping` is called (in the writer thread) when keeping on disk stops or goes on."""

    def close(self) -> None:
        """Takes what the pipes hold, writes it, ends the thread, closes every descriptor. Followers end."""

    def capture(self, run_id: str, stdout_fd: int, stderr_fd: int) -> None:
        """From now on this log owns both descriptors (read ends) and closes them at their end. Returns at once."""

    async def drained(self, run_id: str, patience: float | None = None) -> bool:
        """Returns when both streams ended and all their lines can be read (True). After `patience` seconds without an end
        (somebody else holds the pipe) takes what is there, lets go of the pipes and returns False."""

    async def page(
        self, cursor: str | None = None, limit: int = 1000, *, filters: Filters = Filters(), wait: float = 0.0
    ) -> Page:
        """`cursor` None: the last `limit` lines. `wait`: seconds to wait for a first line when there is none."""

    def follow(self, cursor: str | None = None, filters: Filters = Filters()) -> Follower:
        """`cursor` None: from the newest on. Raises BadCursor, CursorOfAnotherProject, BadFilter at once."""

    @property
    def oldest(self) -> str: ...
    @property
    def newest(self) -> str: ...
    @property
    def keeping(self) -> Keeping: ...
    @property
    def size_on_disk(self) -> int: ...

    async def delete(self, before: str | None = None) -> int:
        """Deletes what lies before the cursor (None: all there is now), on disk and for readers; returns the bytes freed."""
