"""The ring gives back what was put in, or says that it is gone; never something else."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.protocol.ring import EOF, STDERR, STDOUT, Acks, Chunk, Ring, RingReader, memory_file
from launcher.protocol.wake import Wake

steps = st.lists(
    st.tuples(
        st.integers(1, 300), st.integers(1, 3), st.sampled_from([STDOUT, STDERR]), st.integers(0, 3_000_000)
    ),
    max_size=60,
)


@settings(deadline=None)
@given(steps, st.integers(0, 1 << 40), st.booleans(), st.integers(3, 9))
def test_the_valid_part_is_the_newest_bytes_with_their_owners(
    written: list[tuple[int, int, int, int]], base: int, mapped: bool, slots: int
) -> None:
    ring = Ring.create(base, 4096, slots, map_data=mapped)
    reader = RingReader(os.dup(ring.fd))
    whole = bytearray()
    owners: list[tuple[int, int]] = []
    at = 10**18
    for n, (size, run, stream, later) in enumerate(written):
        at += later
        data = bytes((n + k) % 251 for k in range(size))
        ring.append(data, run, stream, 0, at)
        whole += data
        owners += [(run, stream)] * size
        assert reader.end == base + len(whole)
        assert reader.start >= reader.end - 4096
        assert reader.copy(reader.start, reader.end) == bytes(whole[reader.start - base :])
        if reader.start > base:
            assert reader.copy(reader.start - 1, reader.end) is None
        chunks, _ = reader.chunks(0)
        _check_chunks(chunks, reader, owners, base)
    ring.finish()
    assert reader.closed
    reader.close()
    ring.close()


def _check_chunks(chunks: list[Chunk], reader: RingReader, owners: list[tuple[int, int]], base: int) -> None:
    """The chunks cover the valid part without a hole, and each says whose its bytes are."""
    place = reader.start
    assert chunks[0].offset <= place
    for chunk in chunks:
        assert chunk.offset <= place
        told = {(chunk.run, chunk.stream)}
        assert set(owners[max(chunk.offset, reader.start) - base : chunk.end - base]) <= told
        place = max(place, chunk.end)
    assert place == reader.end


def test_bytes_that_come_quickly_join_the_last_chunk() -> None:
    ring = Ring.create(0, 4096, 8)
    reader = RingReader(os.dup(ring.fd))
    ring.append(b"a", 1, STDOUT, 0, 1000)
    ring.append(b"b", 1, STDOUT, 0, 1_000_000)
    ring.append(b"c", 1, STDOUT, 0, 3_000_000)
    ring.append(b"d", 1, STDERR, 0, 3_000_000)
    ring.append(b"\n", 1, STDERR, EOF, 3_000_000)
    chunks, _ = reader.chunks(0)
    assert [(c.offset, c.end, c.stream, c.flags, c.at) for c in chunks] == [
        (0, 2, STDOUT, 0, 1000),
        (2, 3, STDOUT, 0, 3_000_000),
        (3, 4, STDERR, 0, 3_000_000),
        (4, 5, STDERR, EOF, 3_000_000),
    ]
    reader.close()
    ring.close()


def test_room_spares_what_the_reader_has_not_taken() -> None:
    ring = Ring.create(0, 4096, 5)
    ring.append(b"x" * 4000, 1, STDOUT, 0, 0)
    assert ring.room(0) == 96
    assert ring.room(500) == 596
    for n in range(1, 4):
        ring.append(b"y", n, STDERR, 0, 10**9 * n)
    assert ring.room(0) == 0  # four slots of five, all wanted
    assert ring.room(4000) > 0
    ring.close()


def test_another_process_reads_the_same_bytes() -> None:
    ring = Ring.create(0, 1 << 16, 1024)
    answer, answer_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        reader = RingReader(os.dup(ring.fd))
        at = 0
        while not reader.closed or at < reader.end:
            end = reader.end
            os.write(answer_w, reader.copy(at, end) or b"")
            at = end
        os._exit(0)
    os.close(answer_w)
    for n in range(200):
        ring.append(b"%03d\n" % n, 1, STDOUT, 0, n * 10**7)
    ring.finish()
    with os.fdopen(answer, "rb") as file:
        assert file.read() == b"".join(b"%03d\n" % n for n in range(200))
    os.waitpid(pid, 0)
    ring.close()


def test_a_foreign_memory_file_is_refused() -> None:
    fd = memory_file("other", 8192)
    with pytest.raises(ValueError, match="ring"):
        RingReader(fd)
    os.close(fd)


def test_without_a_memfd_an_unlinked_file_does() -> None:
    ring = Ring.create(5, 4096, 4, memfd=False)
    acks = Acks.create(5, memfd=False)
    ring.append(b"abc", 1, STDOUT, 0, 0)
    reader = RingReader(os.dup(ring.fd))
    assert reader.copy(5, 8) == b"abc"
    assert (acks.kept, acks.drop) == (5, False)
    reader.close()
    acks.close()
    ring.close()


@pytest.mark.parametrize("eventfd", [True, False])
def test_a_bell_rung_often_is_one_ring(eventfd: bool) -> None:
    if eventfd and not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")
    bell = Wake(eventfd=eventfd)
    for _ in range(70_000):
        bell.ring()
    bell.clear()
    bell.clear()
    with pytest.raises(BlockingIOError):
        os.read(bell.fd, 8)
    bell.close()
