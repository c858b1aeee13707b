"""A disk that is full, a disk that hangs: the app goes on, memory holds the newest, what is gone is told with exact numbers."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from supervisor.logs import segments as segmented
from supervisor.logs.guard import Guard
from supervisor.logs.log import Log
from supervisor.logs.values import Keeping, Line, LogSettings, Lost
from tests.supervisor.logs.house import (
    PATIENCE,
    SMALL,
    Feed,
    all_lines,
    lines_and_losses,
    numbered,
    offset,
    story,
    texts,
)
from tests.support import eventually

GUARDED = LogSettings(ring_bytes=1 << 20, segment_bytes=1 << 20, keep_free_bytes=100, keep_free_share=0.5)


class Disk:
    """How much is free, as the test wishes."""

    def __init__(self) -> None:
        self.free = 1000

    def __call__(self, folder: Path) -> tuple[int, int]:
        return self.free, 1000


@story
async def test_keeping_pauses_says_so_and_goes_on_without_a_loss(tmp_path: Path) -> None:
    disk, told = Disk(), []
    log = Log.open("demo", tmp_path / "log", GUARDED, told.append, disk)
    feed = Feed(log)
    await feed.write(b"kept\n")
    size = log.size_on_disk
    disk.free = 50
    await eventually(lambda: _paused_after_a_line(feed, log))
    assert "free" in log.keeping.reason
    await feed.write(b"from memory\n")
    assert log.size_on_disk < size + 20_000
    disk.free = 1000
    await eventually(lambda: log.keeping.on)
    await feed.write(b"kept again\n")
    await feed.end()
    lines = texts(await all_lines(log))
    assert [keeping.on for keeping in told] == [False, True]
    log.close()
    log = Log.open("demo", tmp_path / "log", GUARDED)
    assert texts(await all_lines(log)) == lines
    assert lines[0] == "kept"
    assert lines[-2:] == ["from memory", "kept again"]
    log.close()


async def _paused_after_a_line(feed: Feed, log: Log) -> bool:
    await feed.write(b"line\n")
    return not log.keeping.on


@story
async def test_what_memory_could_not_hold_while_paused_is_lost_with_exact_numbers(tmp_path: Path) -> None:
    disk = Disk()
    log = Log.open("demo", tmp_path / "log", GUARDED, space=disk)
    feed = Feed(log)
    await feed.write(b"kept\n", b"open")
    disk.free = 0
    await eventually(lambda: _paused_after_a_line(feed, log))
    await feed.write(stderr=b" still\n")
    before = log.newest
    early = texts(await all_lines(log))
    await feed.write(numbered(50_000))  # five times the ring
    page = await log.page(before, 1)
    assert page.lost is not None
    rest = await all_lines(log, page.lines[0].cursor)  # of the first one the beginning may be gone
    first = int(rest[0].text[:10])
    assert page.lost.lines == first - 1
    assert page.lost.bytes + offset(before) + len(page.lines[0].text) + 1 == offset(page.lines[0].cursor)
    assert [int(text[:10]) for text in texts(rest)] == list(range(first, 50_000))
    disk.free = 1000
    await eventually(lambda: log.keeping.on)
    await feed.write(b"kept again\n")
    await feed.end()
    log.close()
    log = Log.open("demo", tmp_path / "log", GUARDED)
    page = await log.page("oldest", 10_000)
    early.remove("open still")
    kept = texts(page.lines, "stdout")
    assert kept == early[: len(kept)]
    assert texts(page.lines, "stderr") == ["open"]
    after = await log.page(page.next_cursor, 10_000)
    assert after.lost is not None
    assert after.lost.lines is not None
    assert int(after.lines[1].text[:10]) - 1 + len(early) - len(kept) == after.lost.lines
    assert after.lines[-1].text == "kept again"
    log.close()


WRITER = """
import asyncio, os, resource, sys
from pathlib import Path
from tests.supervisor.logs.house import SMALL, Feed, all_lines, lines_and_losses, numbered, texts
from supervisor.logs.log import Log
async def main():
    told = []
    log = Log.open("demo", Path(sys.argv[1]), SMALL, told.append)
    feed = Feed(log)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    for n in range(0, 7000, 500):
        await feed.write(numbered(500, first=n))
    await feed.end()
    assert texts(await all_lines(log)) == numbered(7000).decode().splitlines()
    assert not told[0].on and "large" in told[0].reason, told
    log.close()
asyncio.run(main())
"""


def test_a_file_that_may_not_grow_is_no_reason_to_lose_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path / "log")],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 300_000
    _reads_what_was_kept(tmp_path)


@story
async def _reads_what_was_kept(tmp_path: Path) -> None:
    log = Log.open("demo", tmp_path / "log", SMALL)
    lines = []
    page = await log.page("oldest", 10_000)
    lines = texts(page.lines)
    assert [int(text[:10]) for text in lines[:-1]] == list(range(len(lines) - 1))
    assert len(lines) > 2000
    log.close()


@story
async def test_the_app_never_waits_longer_than_log_wait_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, hanging = threading.Event(), threading.Event()
    write_all = segmented._write_all

    def slow(fd: int, data: list[bytes]) -> int:
        if hang.is_set():
            hanging.set()
            while hang.is_set():
                threading.Event().wait(0.01)
        return write_all(fd, data)

    monkeypatch.setattr(segmented, "_write_all", slow)
    log = Log.open("demo", tmp_path / "log", replace(SMALL, log_wait=0.3))
    feed = Feed(log)
    await feed.write(b"begun ", b"open line")
    hang.set()
    data = numbered(40_000)
    begin = monotonic()
    writing = asyncio.create_task(asyncio.to_thread(_write, feed.out, data))
    await asyncio.wait_for(writing, PATIENCE)
    assert hanging.is_set()
    assert 0.3 <= monotonic() - begin < 3
    hang.clear()
    await feed.end()
    found = await lines_and_losses(log)
    lines = [x for x in found if isinstance(x, Line)]
    losses = [x for x in found if isinstance(x, Lost)]
    assert losses
    assert [loss.lines for loss in losses] == [None] * len(losses)
    assert texts(lines, "stderr") == ["open line"]
    # lines that were open where bytes were lost were ended there, by a mark in place of a lost byte
    at_loss = found.index(losses[0])
    partial = len(texts(x for x in found[:at_loss] if isinstance(x, Line) and x.stream == "stdout")[-1]) != 99
    given = sum(len(line.text) + 1 for line in lines)
    assert given + sum(loss.bytes for loss in losses) == offset(log.newest) - 2 + 1 + partial
    numbers = [int(text[:10]) for text in texts(lines, "stdout")[1:] if len(text) == 99]
    assert numbers[-1] == 39_999
    log.close()


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def test_the_guard_looks_seldom_and_waits_for_a_little_more_before_it_goes_on(tmp_path: Path) -> None:
    disk = Disk()
    guard = Guard(tmp_path, 100, 0.5, disk)
    assert guard.enough(0.0)
    disk.free = 99
    assert guard.enough(0.1)  # it did not look again yet
    assert not guard.enough(1.0)
    disk.free = 105
    assert not guard.enough(2.0)
    disk.free = 110
    assert guard.enough(3.0)
    assert guard.reason == ""


def test_keeping_is_a_plain_value() -> None:
    assert Keeping(True) == Keeping(True, "")
