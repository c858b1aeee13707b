"""Listening and accepting without the module `socket`."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from launcher.protocol import sockets


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_connection_to_a_listening_socket_is_accepted_and_not_inherited(host: str) -> None:
    listener = sockets.listening(host, 0, 8)
    with socket.create_connection((host, listener.getsockname()[1])) as client:
        taken = sockets.accepted(listener)
        client.sendall(b"word")
        assert taken.recv(10) == b"word"
        assert not os.get_inheritable(taken.fileno())
        assert not os.get_inheritable(listener.fileno())
        taken.close()
    listener.close()


def test_a_connection_is_accepted_also_where_its_own_address_is_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """macOS tells none of one that the other side has reset: what kind of socket it is must not be read from that."""

    class Silent(sockets.Socket):
        def __init__(
            self, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None
        ) -> None:
            if fileno is not None and family == -1:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            super().__init__(family, kind, proto, fileno)

    listener = sockets.listening("127.0.0.1", 0, 8)
    monkeypatch.setattr(sockets, "Socket", Silent)
    with socket.create_connection(listener.getsockname()):
        taken = sockets.accepted(listener)
        assert (taken.family, taken.type) == (socket.AF_INET, socket.SOCK_STREAM)
        taken.close()
    listener.close()


def test_a_port_can_be_taken_again_at_once_but_not_twice() -> None:
    first = sockets.listening("127.0.0.1", 0, 8)
    port = first.getsockname()[1]
    with pytest.raises(OSError) as caught:
        sockets.listening("127.0.0.1", port, 8)
    assert caught.value.errno == errno.EADDRINUSE
    with socket.create_connection(("127.0.0.1", port)):
        sockets.accepted(first).close()
        first.close()
    sockets.listening("127.0.0.1", port, 8).close()


def test_only_numbers_are_an_address() -> None:
    assert sockets.is_address("127.0.0.1")
    assert sockets.is_address("::1")
    assert not sockets.is_address("localhost")
    assert not sockets.is_address("fe80::x")
