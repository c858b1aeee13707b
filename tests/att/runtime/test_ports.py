"""Who has a port."""

import os
import socket

import pytest

from att.runtime import ports
from att.runtime.errors import InvalidSettings, PortInUse
from tests.support import free_port


def test_a_port_in_use_is_refused_with_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse) as caught:
            ports.check("127.0.0.1", port)
    problem = caught.value
    assert problem.code == "port_in_use"
    assert problem.extra["port"] == port
    assert problem.extra["pid"] == os.getpid()
    assert problem.extra["ours"] is True
    assert str(os.getpid()) in problem.detail


def test_a_port_that_only_waits_for_old_connections_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
    ports.check("127.0.0.1", port)
    client.close()


def test_a_free_port_is_free() -> None:
    ports.check("127.0.0.1", free_port())
    ports.check("127.0.0.1", ports.free("127.0.0.1"))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"192\.0\.2\.1"):
        ports.check("192.0.2.1", free_port())
