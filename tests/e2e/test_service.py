"""The command and the variables of the service unit, run as systemd runs them: nothing else inherited, and spoken to
over its notification socket.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from att.config import Address
from att.service.description import EXAMPLES, Kind, Scope, Service
from tests.support import free_port

INSTALLED = (
    subprocess.run(
        [sys.executable, "-I", "-c", "import att, launcher"], cwd="/", capture_output=True
    ).returncode
    == 0
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSTALLED, reason="ATT is not installed for this interpreter"),
]


@contextmanager
def as_systemd(
    service: Service, at: Path, **more: str
) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """The process, and the socket on which it notifies."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(at / "notify"))
        told.settimeout(40)
        env = {**dict(service.environment), "NOTIFY_SOCKET": str(at / "notify"), "LANG": "C.UTF-8", **more}
        life = subprocess.Popen(
            service.command, env=env, cwd="/", stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield life, told
        finally:
            if life.poll() is None:
                life.terminate()
            life.wait(40)


def until(told: socket.socket, line: str) -> list[str]:
    """What was notified until this line came."""
    seen: list[str] = []
    while line not in seen:
        seen += told.recv(4096).decode().splitlines()
    return seen


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return replace(
        EXAMPLES[Kind.SYSTEMD],
        scope=Scope.USER,
        account=None,
        account_home=None,
        python=PurePosixPath(sys.executable),
        home=PurePosixPath(tmp_path / "my home"),
        listen=Address("127.0.0.1", free_port()),
    )


def test_it_becomes_ready_keeps_the_watchdog_quiet_and_stops_in_order(
    service: Service, tmp_path: Path
) -> None:
    with as_systemd(service, tmp_path, WATCHDOG_USEC="600000") as (life, told):
        until(told, "READY=1")
        until(told, "WATCHDOG=1")
        with socket.create_connection(service.listen, timeout=5) as line:
            line.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert line.recv(1024).startswith(b"HTTP/1.1 200")
        life.send_signal(signal.SIGTERM)
        until(told, "STOPPING=1")
        assert life.wait(40) == 0


def test_a_wrong_configuration_ends_with_the_code_that_is_not_tried_again(
    service: Service, tmp_path: Path
) -> None:
    Path(service.home).mkdir()
    (Path(service.home) / "att.toml").write_text("nothing_of_ours = 1\n")
    with as_systemd(service, tmp_path) as (life, _):
        assert life.wait(40) == 78


def test_an_address_that_is_taken_ends_with_69(service: Service, tmp_path: Path) -> None:
    with socket.create_server(tuple(service.listen)), as_systemd(service, tmp_path) as (life, _):
        assert life.wait(40) == 69


def test_nothing_of_the_one_who_installed_it_is_needed(service: Service) -> None:
    assert not {"HOME", "USER", "PYTHONPATH", "VIRTUAL_ENV"} & dict(service.environment).keys()
    assert os.path.isabs(service.command[0])
