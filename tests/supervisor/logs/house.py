"""What the tests of logs share: stories on a loop, a log with pipes to write to, and what a log must say, told simply."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import ParamSpec

from supervisor.logs.batch import Batch
from supervisor.logs.log import Log
from supervisor.logs.values import Line, LogSettings, Lost

P = ParamSpec("P")
PATIENCE = 20.0
SMALL = LogSettings(ring_bytes=1 << 20, segment_bytes=1 << 20, keep_free_bytes=0)


def story(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """An async test, told to its end on a loop of its own."""

    @functools.wraps(test)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        async def whole() -> None:
            await asyncio.wait_for(test(*args, **kwargs), 50)

        asyncio.run(whole())

    return told


class Feed:
    """A run of a log, written by the test itself."""

    def __init__(self, log: Log, run: str = "run-1") -> None:
        out, self.out = os.pipe()
        err, self.err = os.pipe()
        self.run = run
        self._log = log
        log.capture(run, out, err)

    async def write(self, stdout: bytes = b"", stderr: bytes = b"") -> None:
        """Writes all and returns when the log has taken it."""
        end = self._log.end + len(stdout) + len(stderr)
        for fd, data in ((self.out, stdout), (self.err, stderr)):
            if data:
                await asyncio.to_thread(_write_all, fd, data)
        assert await self._log.moved(end - 1, PATIENCE)

    async def end(self) -> None:
        os.close(self.out)
        os.close(self.err)
        assert await self._log.drained(self.run, PATIENCE)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


async def write(log: Log, stdout: bytes = b"", stderr: bytes = b"", run: str = "run-1") -> None:
    """A whole run that writes this and ends."""
    feed = Feed(log, run)
    await feed.write(stdout, stderr)
    await feed.end()


async def all_lines(log: Log, cursor: str = "oldest", limit: int = 1000) -> list[Line]:
    """Everything after a cursor, page by page. Fails when something was lost on the way."""
    lines: list[Line] = []
    while True:
        page = await log.page(cursor, limit)
        assert page.lost is None
        lines += page.lines
        if page.next_cursor == page.newest_cursor and not page.lines:
            return lines
        cursor = page.next_cursor


async def lines_and_losses(log: Log, cursor: str = "oldest") -> list[Line | Lost]:
    """Everything after a cursor, with what was lost where it was lost."""
    found: list[Line | Lost] = []
    while True:
        page = await log.page(cursor, 10_000)
        if page.lost is not None:
            found.append(page.lost)
        elif not page.lines:
            return found
        found += page.lines
        cursor = page.next_cursor


async def follow_until(log: Log, cursor: str, newest: str) -> list[Batch]:
    """Batches from a cursor until another one."""
    follower = log.follow(cursor)
    batches: list[Batch] = []
    while follower.cursor != newest:
        batch = await follower.next(PATIENCE)
        if batch is None:
            raise AssertionError(f"no more after {follower.cursor}, {newest} expected")
        batches.append(batch)
    return batches


def texts(lines: Iterable[Line], stream: str | None = None) -> list[str]:
    return [line.text for line in lines if stream in (None, line.stream)]


def opened(folder: Path, settings: LogSettings = SMALL, id: str = "demo") -> Log:
    return Log.open(id, folder / "log", settings)


def numbered(count: int, size: int = 100, first: int = 0) -> bytes:
    return b"".join(b"%010d %s\n" % (n, b"x" * (size - 12)) for n in range(first, first + count))


def offset(cursor: str) -> int:
    return int(cursor.rpartition("-")[2])
