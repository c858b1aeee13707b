"""A real daemon in a process of its own, for tests that come in by its doors."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import eventually_sync, free_port

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class RunningDaemon:
    process: subprocess.Popen[bytes]
    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    @property
    def said(self) -> str:
        """What it has written about itself so far."""
        return (self.home.parent / f"{self.home.name}.out").read_text()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request below /api/v1, on a connection of its own, with the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | headers
        with contextlib.closing(connection):
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), head)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read().decode())

    def project(self, name: str, command: Sequence[str], settings: str = "") -> str:
        """A project whose app is `command`; its id."""
        folder = self.home / "projects" / name
        folder.mkdir(parents=True)
        folder.joinpath("att.toml").write_text(
            f"[runtime]\ncommand = {json.dumps(list(command))}\n{settings}", encoding="utf-8"
        )
        made = self.ask("POST", "/projects", {"name": name, "path": str(folder)})
        assert made.status == 201, made.text
        return str(made.json["id"])

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/api/v1/health")
                return connection.getresponse().status == 200
            except OSError:
                return False

    def kill(self) -> None:
        """As a crash would: no word, no time."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


def environment(home: Path, port: int, **variables: str) -> dict[str, str]:
    """Ours, without any ATT setting of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ATT_")}
    return kept | {
        "ATT_HOME": str(home),
        "ATT_LISTEN": f"127.0.0.1:{port}",
        "ATT_LOG_MIN_FREE_PERCENT": "0",
        "ATT_LOG_MIN_FREE": "0",
        "PYTHONPATH": str(ROOT),
        **variables,
    }


def start(home: Path, port: int = 0, before: Sequence[str] = (), **variables: str) -> RunningDaemon:
    """Start a daemon in `home` and wait until it answers. `before`: a command that runs the rest of its line."""
    port = port or free_port()
    with (home.parent / f"{home.name}.out").open("ab") as out:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "att.daemon"],
            env=environment(home, port, **variables),
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    daemon = RunningDaemon(process, home, port)

    def up() -> bool:
        assert process.poll() is None, daemon.said
        return daemon.answers()

    try:
        eventually_sync(up, 30)
    except BaseException:
        daemon.kill()
        raise
    return daemon


@contextlib.contextmanager
def running(home: Path, before: Sequence[str] = (), **variables: str) -> Iterator[RunningDaemon]:
    """A daemon that is ended when the test is."""
    daemon = start(home, before=before, **variables)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            try:
                daemon.stop()
            except subprocess.TimeoutExpired:
                daemon.kill()
                raise
