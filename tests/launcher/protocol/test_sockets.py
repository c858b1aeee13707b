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
