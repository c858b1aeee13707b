"""Packets with descriptors: whole or refused, bounded both ways, nothing leaked; with and without SOCK_SEQPACKET."""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.protocol.channel import Channel, ClosedError, FullError, pair
from launcher.protocol.messages import FD_LIMIT, LIMIT, BadMessageError, common_version, decode, encode


@pytest.fixture(params=[False, True], ids=["packets", "framed"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = (Channel(end, limit=50) for end in pair(framed=request.param))
    yield ours, theirs
    ours.close()
    theirs.close()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_messages_come_in_order_and_whole(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    for n in range(10):
        ours.send({"type": "count", "n": n, "text": "x" * n * 100})
    got = [theirs.receive() for _ in range(10)]
    assert [message["n"] for message, _ in filter(None, got)] == list(range(10))
    assert theirs.receive() is None


def test_descriptors_come_with_their_message_and_are_close_on_exec(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    read, write = os.pipe()
    ours.send({"type": "bare"})
    ours.send({"type": "pipe"}, [write])
    assert theirs.receive() == ({"type": "bare"}, [])
    came = theirs.receive()
    assert came is not None
    message, fds = came
    assert message == {"type": "pipe"}
    assert not os.get_inheritable(fds[0])
    os.write(fds[0], b"through")
    assert os.read(read, 100) == b"through"
    for fd in (read, write, *fds):
        os.close(fd)


def test_a_side_that_does_not_read_is_full_at_last_and_gets_all_when_it_does(
    ends: tuple[Channel, Channel],
) -> None:
    ours, theirs = ends
    sent = 0
    with pytest.raises(FullError):
        while True:
            ours.send({"type": "count", "n": sent, "text": "x" * 30_000})
            sent += 1
    assert ours.sending
    got = []
    while len(got) < sent:
        while (came := theirs.receive()) is not None:
            got.append(came[0]["n"])
        ours.flush()
    assert got == list(range(sent))
    assert not ours.sending


def test_the_end_of_the_other_side_is_told(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(ClosedError):
        ours.receive()
    with pytest.raises(ClosedError):
        for _ in range(3):
            ours.send({"type": "anybody"})


def test_closing_lets_go_of_descriptors_that_wait(ends: tuple[Channel, Channel]) -> None:
    ours, _ = ends
    before = descriptors()
    with pytest.raises(FullError):
        while True:
            ours.send({"type": "x", "text": "x" * 60_000}, [0])
    ours.close()
    assert len(descriptors()) <= len(before)


@pytest.mark.parametrize("data", [b"\xff", b"[]", b"{}", b'{"type": 1}', b"nonsense", b"[" * 10_000])
def test_rubbish_is_refused_and_the_channel_goes_on(data: bytes) -> None:
    ours, theirs = pair(framed=False)
    channel = Channel(theirs)
    ours.send(data)
    ours.send(b'{"type": "fine"}')
    with pytest.raises(BadMessageError):
        channel.receive()
    assert channel.receive() == ({"type": "fine"}, [])
    ours.close()
    channel.close()


def test_a_packet_that_is_cut_or_has_too_many_descriptors_is_refused_and_leaks_none() -> None:
    ours, theirs = pair(framed=False)
    channel = Channel(theirs)
    before = len(descriptors())
    null = os.open(os.devnull, os.O_RDONLY)
    for count in (FD_LIMIT + 1, 100, 250):
        socket.send_fds(ours, [b'{"type": "many"}'], [null] * count)
        with pytest.raises(BadMessageError):
            channel.receive()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    ours.send(b'{"type": "' + b"x" * (LIMIT + 100) + b'"}')
    with pytest.raises(BadMessageError):
        channel.receive()
    os.close(null)
    assert len(descriptors()) == before
    ours.close()
    channel.close()


def test_a_framed_stream_that_announces_too_much_is_over() -> None:
    ours, theirs = pair(framed=True)
    channel = Channel(theirs)
    ours.send((LIMIT + 1).to_bytes(4, "big"))
    with pytest.raises(ClosedError):
        channel.receive()
    ours.close()
    channel.close()


def test_a_framed_message_in_pieces_is_put_together() -> None:
    ours, theirs = pair(framed=True)
    channel = Channel(theirs)
    null = os.open(os.devnull, os.O_RDONLY)
    body = b'{"type": "slow"}'
    packet = len(body).to_bytes(4, "big") + body
    ours.sendmsg([packet[:1]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null]))])
    for at in range(1, len(packet) - 1):
        assert channel.receive() is None
        ours.send(packet[at : at + 1])
    ours.send(packet[-1:])
    came = channel.receive()
    assert came is not None
    assert (came[0], len(came[1])) == ({"type": "slow"}, 1)
    os.close(came[1][0])
    os.close(null)
    ours.close()
    channel.close()


def test_a_message_that_is_too_long_is_not_sent(ends: tuple[Channel, Channel]) -> None:
    with pytest.raises(BadMessageError):
        ends[0].send({"type": "long", "text": "x" * LIMIT})
    assert ends[1].receive() is None


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        ([1, 1], 1),
        ([1, 9], 1),
        ([0, 1], 1),
        ([2, 9], None),
        ([0, 0], None),
        (None, None),
        ("1", None),
        ([1], None),
    ],
)
def test_the_newest_version_in_common_is_spoken(offer: object, chosen: int | None) -> None:
    assert common_version(offer) == chosen


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans())))
def test_what_is_encoded_is_decoded(fields: dict[str, object]) -> None:
    message = fields | {"type": "any"}
    assert decode(encode(message)) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadMessageError):
        assert isinstance(decode(data)["type"], str)
