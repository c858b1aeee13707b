"""A log that takes from the launcher's ring: lives of the taker come and go, every byte is taken once, or lost and said so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from time import time_ns

import pytest

from launcher.protocol.ring import EOF, STDERR, STDOUT, Acks, Ring
from launcher.protocol.wake import Wake
from supervisor.logs.errors import LogUnusable
from supervisor.logs.log import Log
from supervisor.logs.rings import RingHandles, RingOutdated
from supervisor.logs.values import Line, Lost
from tests.supervisor.logs.house import (
    SMALL,
    all_lines,
    lines_and_losses,
    numbered,
    opened,
    story,
    texts,
    write,
)
from tests.support import eventually

TAKER = """
import asyncio, sys
from pathlib import Path
from supervisor.logs.log import Log
from supervisor.logs.rings import RingHandles
from supervisor.logs.values import LogSettings
log = Log.open("demo", Path(sys.argv[1]), LogSettings(ring_bytes=1 << 20, segment_bytes=1 << 20, keep_free_bytes=0), held=True)
log.number("run-1")
log.attach(RingHandles(*map(int, sys.argv[2:6]), fresh=False))
async def main():
    at = 0
    while await log.moved(at, None):
        at = log.end
        print(at, flush=True)
asyncio.run(main())
"""


class Launcher:
    """Fills a ring as the launcher does, and hands it out."""

    def __init__(self, base: int = 0, ring_bytes: int = 1 << 20, slots: int = 1024) -> None:
        self.ring = Ring.create(base, ring_bytes, slots)
        self.acks = Acks.create(base)
        self.bell, self.room = Wake(), Wake()

    @property
    def fds(self) -> list[int]:
        return [self.ring.fd, self.acks.fd, self.bell.fd, self.room.ring_fd]

    def handles(self, fresh: bool = False) -> RingHandles:
        ring, acks, bell, room = map(os.dup, self.fds)
        return RingHandles(ring, acks, bell, room, fresh)

    def write(self, data: bytes, stream: int = STDOUT, flags: int = 0) -> None:
        self.ring.append(data, 1, stream, flags, time_ns())
        self.bell.ring()

    def end_run(self) -> None:
        for stream in (STDOUT, STDERR):
            self.write(b"\n", stream, EOF)

    def taker(self, folder: Path) -> subprocess.Popen[bytes]:
        """A life of the taker in a process of its own."""
        words = [sys.executable, "-c", TAKER, str(folder / "log"), *map(str, self.fds)]
        return subprocess.Popen(
            words,
            pass_fds=self.fds,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )


def attached(folder: Path, launcher: Launcher, fresh: bool = False) -> Log:
    log = Log.open("demo", folder / "log", SMALL, held=not fresh)
    log.number("run-1")
    log.attach(launcher.handles(fresh))
    return log


@story
async def test_what_comes_through_the_ring_can_be_read(tmp_path: Path) -> None:
    launcher = Launcher()
    log = attached(tmp_path, launcher, fresh=True)
    launcher.write(b"one\ntwo\n")
    launcher.write(b"three\n", STDERR)
    await eventually(lambda: log.end == 14)
    lines = await all_lines(log)
    assert [(line.text, line.stream, line.run) for line in lines] == [
        ("one", "stdout", "run-1"),
        ("two", "stdout", "run-1"),
        ("three", "stderr", "run-1"),
    ]
    assert launcher.acks.kept == 14
    assert launcher.room.fd in _readable(launcher.room.fd)
    log.close()


def _readable(fd: int) -> list[int]:
    import select

    return select.select([fd], [], [], 0)[0]


@pytest.mark.parametrize("told", [1, 3, 20])
def test_lives_that_are_killed_take_every_line_once(tmp_path: Path, told: int) -> None:
    launcher = Launcher()
    count = 0
    cursors: set[int] = set()
    for _ in range(4):
        taker = launcher.taker(tmp_path)
        assert taker.stdout is not None
        launcher.write(numbered(200, first=count) + b"beg", STDOUT)  # a line is open when it dies
        launcher.write(b"un\n")
        for _ in range(told):
            launcher.write(numbered(50, first=count + 200)[:2500])
            launcher.write(numbered(50, first=count + 200)[2500:])
            cursors.add(int(taker.stdout.readline()))
            count += 50
        count += 200
        taker.kill()
        taker.wait()
        taker.stdout.close()
    written = launcher.ring.end

    @story
    async def read() -> None:
        log = attached(tmp_path, launcher)
        assert log.end == written >= max(cursors)
        found = texts(await all_lines(log))
        assert found == _as_written(launcher, found)
        assert sum(text == "begun" for text in found) == 4
        assert log.lines == len(found)
        log.close()

    read()


def _as_written(launcher: Launcher, found: list[str]) -> list[str]:
    """The ring was never full, so it still holds all that was ever written."""
    data = launcher.ring.data[: launcher.ring.end]
    assert launcher.ring.start == 0
    return bytes(data).decode().split("\n")[:-1] if found else []


@story
async def test_a_line_left_open_by_one_life_is_ended_by_the_next(tmp_path: Path) -> None:
    launcher = Launcher()
    log = attached(tmp_path, launcher, fresh=True)
    launcher.write(b"first half, ")
    await eventually(lambda: log.end == 12)
    log.close()
    launcher.write(b"second half\n")
    log = attached(tmp_path, launcher)
    assert texts(await all_lines(log)) == ["first half, second half"]
    log.close()


@story
async def test_what_the_ring_lost_while_nobody_took_reads_as_lost_exactly(tmp_path: Path) -> None:
    launcher = Launcher(ring_bytes=1 << 16)
    log = attached(tmp_path, launcher, fresh=True)
    launcher.write(numbered(10))
    await eventually(lambda: log.end == 1000)
    log.close()
    for number in range(10, 2010):
        launcher.write(numbered(1, first=number))
    start = launcher.ring.start
    assert start > 1000
    log = attached(tmp_path, launcher)
    found = await lines_and_losses(log)
    lines = [line for line in found if isinstance(line, Line)]
    assert [found[10]] == [one for one in found if isinstance(one, Lost)] == [Lost(start - 1000, None)]
    assert [int(line.text[:10]) for line in lines[:10]] == list(range(10))
    assert [int(line.text[:10]) for line in lines[11:]] == list(range(start // 100 + 1, 2010))
    log.close()


@story
async def test_offsets_go_on_when_the_launcher_has_a_new_ring(tmp_path: Path) -> None:
    launcher = Launcher()
    log = attached(tmp_path, launcher, fresh=True)
    launcher.write(b"whole\nleft open")
    await eventually(lambda: log.end == 15)
    log.close()
    log = Log.open("demo", tmp_path / "log", SMALL, held=True)
    base = log.wanted().base
    assert base == 16  # a place for the end of the open line
    log.close()
    log = attached(tmp_path, second := Launcher(base), fresh=True)
    second.write(b"next\n")
    await eventually(lambda: log.end == 21)
    assert texts(await all_lines(log)) == ["whole", "left open", "next"]
    log.close()


@story
async def test_a_ring_that_the_log_went_on_without_is_refused(tmp_path: Path) -> None:
    launcher = Launcher()
    log = attached(tmp_path, launcher, fresh=True)
    launcher.write(b"through the ring\n")
    await eventually(lambda: log.end == 17)
    log.close()
    log = opened(tmp_path)
    await write(log, b"through pipes of our own\n", run="run-2")
    log.close()
    log = Log.open("demo", tmp_path / "log", SMALL, held=True)
    with pytest.raises(RingOutdated):
        log.attach(launcher.handles())
    log.attach(Launcher(log.wanted().base).handles(fresh=True))
    log.close()


@story
async def test_a_closed_ring_is_taken_to_its_end_and_the_log_goes_on_without(tmp_path: Path) -> None:
    launcher = Launcher()
    log = attached(tmp_path, launcher, fresh=True)
    launcher.write(b"last words")
    launcher.end_run()
    assert await log.drained("run-1", 5)
    assert log.settled
    log.detach()
    assert texts(await all_lines(log)) == ["last words"]
    base = log.wanted().base
    assert base == launcher.ring.end
    second = Launcher(base)
    log.attach(second.handles(fresh=True))
    second.write(b"more\n")
    await eventually(lambda: log.end == base + 5)
    assert texts(await all_lines(log)) == ["last words", "more"]
    log.close()


@story
async def test_two_processes_cannot_write_one_log(tmp_path: Path) -> None:
    launcher = Launcher()
    taker = launcher.taker(tmp_path)
    assert taker.stdout is not None
    launcher.write(b"taken\n")
    assert int(taker.stdout.readline()) == 6
    with pytest.raises(LogUnusable, match="another process"):
        opened(tmp_path)
    taker.kill()
    taker.wait()
    taker.stdout.close()
    log = attached(tmp_path, launcher)
    assert texts(await all_lines(log)) == ["taken"]
    log.close()


@story
async def test_any_number_of_small_pieces_is_taken_at_once(tmp_path: Path) -> None:
    launcher = Launcher(slots=8192)
    log = attached(tmp_path, launcher, fresh=True)
    launcher.write(numbered(1000))
    await eventually(lambda: log.end == 100_000)
    log.close()
    for number in range(1000, 7000):  # each a chunk of its own, since the streams take turns
        launcher.write(numbered(1, first=number), STDOUT if number % 2 else STDERR)
    log = attached(tmp_path, launcher)
    assert log.keeping.on
    assert [int(text[:10]) for text in texts(await all_lines(log))] == list(range(7000))
    log.close()


@story
async def test_what_was_deleted_stays_deleted_in_the_next_life(tmp_path: Path) -> None:
    launcher = Launcher()
    log = attached(tmp_path, launcher, fresh=True)
    launcher.write(numbered(100))
    await eventually(lambda: log.end == 10_000)
    await log.delete()
    log.close()
    log = attached(tmp_path, launcher)
    assert await all_lines(log) == []
    launcher.write(b"after\n")
    await eventually(lambda: log.end == 10_006)
    assert texts(await all_lines(log)) == ["after"]
    log.close()
