"""Capture moves all bytes, makes nobody wait longer than it may, and says where a stream ended."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.protocol.capture import GATHER, PIPE, STREAK, Capture
from launcher.protocol.ring import EOF, STDERR, STDOUT, Acks, Ring, RingReader

SIZE = 1 << 16


class Rig:
    """A ring, a capture and two pipes; time is a number."""

    def __init__(
        self, *, mapped: bool = True, splice: bool = True, size: int = SIZE, slots: int = 1024
    ) -> None:
        self.ring = Ring.create(0, size, slots, map_data=mapped)
        self.reader = RingReader(os.dup(self.ring.fd))
        self.acks = Acks.create(0)
        self.reserved = [0]
        self.capture = Capture(
            self.ring, self.acks, log_wait=2.0, splice=splice, reserve=self.reserved.append
        )
        out, self.out = os.pipe()
        err, self.err = os.pipe()
        self.capture.add(out, 1, STDOUT)
        self.capture.add(err, 1, STDERR)
        self.now = 100.0

    def step(self) -> int:
        self.now += 10.0
        moved = self.capture.step(self.now)
        assert self.ring.end <= max(self.reserved)
        return moved

    def end_writers(self) -> None:
        for fd in (self.out, self.err):
            if fd >= 0:
                os.close(fd)
        self.out = self.err = -1

    def close(self) -> None:
        self.end_writers()
        self.capture.abandon()
        self.reader.close()
        self.acks.close()
        self.ring.close()


@pytest.fixture(params=["mapped", "splice", "copy"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "splice" and not hasattr(os, "splice"):
        pytest.skip("this system has no splice")
    made = Rig(mapped=request.param == "mapped", splice=request.param == "splice")
    yield made
    made.close()


@pytest.fixture
def large() -> Iterator[Rig]:
    made = Rig(size=PIPE * 4)
    yield made
    made.close()


def test_bytes_of_both_streams_arrive_and_ends_are_marked(rig: Rig) -> None:
    os.write(rig.out, b"out\n")
    os.write(rig.err, b"err")
    rig.step()
    rig.end_writers()
    rig.step()
    chunks, _ = rig.reader.chunks(0)
    told = [(c.stream, c.flags, rig.reader.copy(c.offset, c.end)) for c in chunks]
    assert told == [(STDOUT, 0, b"out\n"), (STDERR, 0, b"err"), (STDOUT, EOF, b"\n"), (STDERR, EOF, b"\n")]
    assert rig.capture.idle
    assert rig.capture.fds() == []


def test_all_bytes_go_through_a_ring_that_is_smaller(rig: Rig) -> None:
    want, got, sent = bytes(range(251)) * 3000, b"", 0
    os.set_blocking(rig.out, False)
    while len(got) < len(want):
        with contextlib.suppress(BlockingIOError):
            sent += os.write(rig.out, want[sent : sent + 50_000]) if sent < len(want) else 0
        rig.capture.step(rig.now)
        got += rig.reader.copy(len(got), rig.reader.end) or b""
        rig.acks.kept = len(got)
    assert got == want


def test_what_was_not_taken_is_spared_for_as_long_as_log_wait_and_no_longer(rig: Rig) -> None:
    os.write(rig.out, b"a" * SIZE)
    assert rig.step() == SIZE
    os.write(rig.out, b"b" * 100)
    begin = rig.now + 1
    for later in (0.0, 0.5, 1.99):
        assert rig.capture.step(begin + later) == 0
        assert rig.capture.fds() == []
        assert rig.capture.due() == begin + 2.0
    assert rig.reader.start == 0
    assert rig.capture.step(begin + 2.0) == 100
    assert rig.reader.copy(SIZE, SIZE + 100) == b"b" * 100
    os.write(rig.out, b"c" * 100)
    assert rig.capture.step(begin + 2.1) == 100  # nobody waits again while the reader does not move
    rig.acks.kept = rig.reader.start + 1
    os.write(rig.out, b"d" * SIZE)
    rig.capture.step(begin + 2.2)
    rig.capture.step(begin + 2.3)
    assert rig.capture.step(begin + 2.4) == 0  # it moved: it is worth waiting for again
    assert rig.capture.due() is not None


def test_nobody_waits_for_a_reader_that_says_drop(rig: Rig) -> None:
    os.write(rig.out, b"a" * SIZE)
    rig.step()
    os.write(rig.out, b"b")
    rig.acks.drop = True
    assert rig.step() == 1
    assert rig.capture.due() is None


def test_a_reader_that_takes_ends_the_wait_at_once(rig: Rig) -> None:
    os.write(rig.out, b"a" * SIZE)
    rig.step()
    os.write(rig.out, b"b")
    assert rig.capture.step(rig.now) == 0
    rig.acks.kept = 10
    assert rig.capture.step(rig.now) == 1


def test_slots_that_are_wanted_are_spared_too() -> None:
    rig = Rig(slots=5)
    at = 0
    for n in range(4):
        rig.ring.append(b"x", n, STDOUT, 0, at := at + 10**9)
    os.write(rig.out, b"y")
    assert rig.capture.step(rig.now) == 0
    assert rig.capture.due() is not None
    rig.acks.kept = 1
    assert rig.capture.step(rig.now) == 1
    rig.close()


def test_letting_go_takes_what_is_there_and_leaves_a_pipe_that_never_ends(large: Rig) -> None:
    os.write(large.out, b"last words")
    large.capture.release(run=2)
    large.step()
    assert not large.capture.idle
    large.capture.release(run=1)
    large.step()
    assert large.capture.idle
    assert large.reader.copy(0, 10) == b"last words"
    with pytest.raises(BrokenPipeError):
        os.write(large.out, b"more")


def test_a_writer_that_floods_while_it_is_let_go_does_not_hold_us(large: Rig) -> None:
    os.set_blocking(large.out, False)
    large.capture.release()
    for _ in range(100):
        try:
            os.write(large.out, b"z" * 65536)
        except BrokenPipeError:
            break
        except BlockingIOError:
            pass
        large.step()
        large.acks.kept = large.reader.end
    assert large.capture.idle


def test_a_rare_writer_is_served_at_once_and_a_busy_one_is_let_gather(rig: Rig) -> None:
    now = 100.0
    for _ in range(20):  # 200 lines a second
        os.write(rig.out, b"line\n")
        rig.capture.step(now)
        assert rig.capture.pause == 0
        now += 0.005
    pauses = []
    for _ in range(STREAK + 5):
        os.write(rig.out, b"line\n")
        rig.capture.step(now)
        pauses.append(rig.capture.pause)
        now += 0.00002 + rig.capture.pause
    assert pauses[0] == 0
    assert 0 < pauses[-1] <= GATHER
    rig.capture.step(now)  # it fell silent
    assert rig.capture.pause == 0
    assert select.select(rig.capture.fds(), [], [], 0)[0] == []


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=3000)), max_size=40),
    st.integers(4096, 9000),
)
def test_each_stream_is_whole_and_in_order(writes: list[tuple[bool, bytes]], size: int) -> None:
    rig = Rig(size=size, slots=8)
    got = {STDOUT: b"", STDERR: b""}
    taken = 0

    def move() -> None:
        nonlocal taken
        rig.capture.step(rig.now)
        for chunk in rig.reader.chunks(0)[0]:
            if chunk.end > taken and not chunk.flags:
                got[chunk.stream] += rig.reader.copy(max(chunk.offset, taken), chunk.end) or b""
        rig.acks.kept = taken = rig.reader.end

    for is_err, data in writes:
        os.write(rig.err if is_err else rig.out, data)
        move()
    rig.end_writers()
    while not rig.capture.idle:
        move()
    assert got[STDOUT] == b"".join(data for is_err, data in writes if not is_err)
    assert got[STDERR] == b"".join(data for is_err, data in writes if is_err)
    rig.close()
