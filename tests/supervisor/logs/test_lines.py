"""Lines do not depend on how their bytes arrived, nor on where somebody began to read."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.logs import lines
from supervisor.logs.lines import FRESH, Open, advance, split
from supervisor.logs.values import PIECE

alphabet = st.sampled_from(
    [b"a", b"\n", b"\r", b"\r\n", "é".encode(), "€".encode(), "𝄞".encode(), b"\xff", b"\xe2\x82", b"\xf0"]
)
short = st.lists(alphabet, max_size=30).map(b"".join)
long = st.builds(
    lambda head, fill, edge, tail: head + fill * (PIECE - 4) + edge + tail,
    short,
    st.sampled_from([b"x", b"y"]),
    short,
    short,
)
streams = st.lists(st.one_of(short, long), max_size=4).map(b"".join)


def ends(data: bytes) -> list[int]:
    found, _, _ = split(data, 0, False)
    return [end if continued else end + 1 for _, end, continued in found]


def test_a_line_ends_with_its_newline() -> None:
    found, begin, mid = split(b"one\ntwo\r\nthr", 0, False)
    assert found == [(0, 3, False), (4, 8, False)]
    assert (begin, mid) == (9, False)
    assert lines.text(b"two\r") == "two"


def test_pieces_of_a_long_line_join_to_the_line() -> None:
    line = "wörter ".encode() * 20_000
    found, _, _ = split(line + b"\n", 0, False)
    assert b"".join(line[a:b] for a, b, _ in found) == line
    assert [c for *_, c in found] == [True] * (len(found) - 1) + [False]
    assert all(PIECE <= b - a <= PIECE + 3 for a, b, _ in found[:-1])
    assert "�" not in "".join(lines.text(line[a:b]) for a, b, _ in found)


def test_invalid_bytes_become_replacement_characters() -> None:
    assert lines.text(b"a\xffb\x00c") == "a�b\x00c"


@pytest.mark.parametrize("extra", range(5))
def test_the_newline_near_the_end_of_a_piece(extra: int) -> None:
    data = b"x" * (PIECE - 2 + extra) + b"\nrest\n"
    state, n = advance(FRESH, data)
    assert state == FRESH
    assert n == len(split(data, 0, False)[0]) == (2 if extra < 2 else 3)


@given(streams, st.lists(st.integers(0, 200_000), max_size=6))
@example(b"x" * PIECE + b"\n", [PIECE])
@example(b"x" * (PIECE - 1) + b"\r\n", [PIECE])
@example(b"x" * (PIECE - 1) + "𝄞\n".encode(), [PIECE, PIECE + 1, PIECE + 2])
def test_counting_in_any_portions_gives_the_same(data: bytes, cuts: list[int]) -> None:
    state, total, at = FRESH, 0, 0
    for cut in [*sorted(c for c in cuts if c < len(data)), len(data)]:
        state, n = advance(state, data[at:cut])
        total, at = total + n, cut
    found, begin, mid = split(data, 0, False)
    assert total == len(found)
    assert (state.carry, state.mid) == (len(data) - begin, mid)


@given(streams, st.integers(0, 200_000))
def test_beginning_in_the_middle_gives_the_same_ends(data: bytes, cut: int) -> None:
    cut = min(cut, len(data))
    state, _ = advance(FRESH, data[:cut])
    head = data[cut - state.carry : cut]
    found, _, _ = split(head + data[cut:], 0, state.mid)
    later = [(end if continued else end + 1) + cut - len(head) for _, end, continued in found]
    assert later == [end for end in ends(data) if end > cut]


@given(streams, st.integers(0, 200_000))
def test_a_lost_head_does_not_move_the_ends(data: bytes, cut: int) -> None:
    cut = min(cut, len(data))
    state, _ = advance(FRESH, data[:cut])
    known = data[max(cut - 6, cut - state.carry) : cut]
    found, _, _ = split(known + data[cut:], len(known) - state.carry, state.mid)
    later = [(end if continued else end + 1) + cut - len(known) for _, end, continued in found]
    assert later == [end for end in ends(data) if end > cut]


def test_dense_and_sparse_newlines_are_counted_alike() -> None:
    for data in (b"\n" * 10_000, b"x" * 10_000, (b"x" * 99 + b"\n") * 100, b"x" * 5000 + b"\n" * 5000):
        assert lines.count(data) == data.count(b"\n")


def test_an_open_line_knows_that_it_is_one() -> None:
    assert not Open().unfinished
    assert Open(mid=True).unfinished
    assert advance(FRESH, b"ab")[0].unfinished
