"""ATT updates itself: real launcher, real daemons, the command line and the API; a small release, and this very repository."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.att.release.house import add_release, make_source
from tests.support import eventually_sync, free_port

ROOT = Path(__file__).resolve().parents[2]
OWN = ("ATT_", "PYTHONPATH", "NOTIFY_", "LISTEN_", "WATCHDOG_")


class Whole:
    """`att up` in a home, and what can be asked of it."""

    def __init__(self, home: Path, *flags: str, path: str = str(ROOT)) -> None:
        self.home, self.port = home, free_port()
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(OWN)}
        self.env |= {"ATT_HOME": str(home), "ATT_LISTEN": f"127.0.0.1:{self.port}", "ATT_LOG_MIN_FREE": "0"}
        self.env |= {"ATT_LOG_MIN_FREE_PERCENT": "0", "ATT_PROBATION": "1", "ATT_START": "20"}
        self.flags, self.path = flags, path

    def __enter__(self) -> Whole:
        with (self.home.parent / "up.out").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "att", "up", *self.flags],
                env=self.env | {"PYTHONPATH": self.path},
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )
        eventually_sync(lambda: self.answers(), 30)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.home.parent / "up.out").read_text()
        try:
            return self.ask("GET", "/health?ready=1")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        token = (self.home / "token").read_text().strip()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with contextlib.closing(connection):
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), head)
            got = connection.getresponse()
            return got.status, json.loads(got.read())

    def att(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "att", *words],
            env=self.env | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def release(self, name: str) -> Any:
        return self.ask("GET", f"/releases/{name}")[1]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return self.ask("GET", f"/events?type={kind}")[1]["events"]


def put_release(home: Path, name: str, python: str) -> None:
    """A release whose interpreter is this line of shell."""
    path = add_release(home, name) / "env" / "bin" / "python"
    path.unlink()
    path.write_text(f"#!/bin/sh\n{python}\n")
    path.chmod(0o755)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    home = tmp_path / "home"
    home.mkdir()
    with Whole(home) as up:
        yield up


def test_a_release_takes_over_by_the_command_line_and_a_rollback_goes_back(whole: Whole) -> None:
    put_release(whole.home, "r1", f'exec {sys.executable} "$@"')
    done = whole.att("release", "switch", "r1")
    assert done.returncode == 0, done.stderr
    assert "standby healthy r1" in done.stderr
    assert "healthy" in done.stdout
    assert whole.ask("GET", "/health")[1]["release"] == "r1"
    eventually_sync(lambda: whole.release("r1")["state"] == "good", 20)
    back = whole.att("release", "rollback")
    assert back.returncode == 0, back.stderr
    assert whole.ask("GET", "/health")[1]["release"] == "installed"
    switched = whole.events("release.switched")
    assert [event["payload"]["release"] for event in switched] == ["installed", "r1"]
    listed = whole.att("release", "list", "--json")
    assert {row["id"] for row in json.loads(listed.stdout)["releases"]} == {"r1", "installed"}


def test_a_release_that_does_not_start_takes_no_request_and_is_told(whole: Whole) -> None:
    put_release(whole.home, "bad", "exit 7")
    done = whole.att("release", "switch", "bad")
    assert done.returncode == 1
    assert "exit code 7" in done.stderr
    assert whole.ask("GET", "/health")[1]["release"] == "installed"
    status, told = whole.ask("POST", "/releases/bad/switch", {})
    assert (status, told["code"]) == (409, "release_failed_before")
    assert whole.att("release", "switch", "bad").returncode == 1


def test_a_source_that_fails_its_check_is_never_a_release(whole: Whole, tmp_path: Path) -> None:
    done = whole.att("release", "stage", str(make_source(tmp_path / "src", code=3)))
    assert done.returncode == 1
    assert "self-check" in done.stderr
    assert list((whole.home / "releases").iterdir()) == []
    assert (
        eventually_sync(lambda: whole.events("release.failed"))[0]["payload"]["code"]
        == "release_self_check_failed"
    )


class Visitor(threading.Thread):
    """Asks for health again and again; whatever was not answered well is remembered."""

    def __init__(self, whole: Whole) -> None:
        super().__init__()
        self.whole, self.done = whole, threading.Event()
        self.bad: list[object] = []
        self.count, self.longest = 0, 0.0

    def run(self) -> None:
        while not self.done.is_set():
            began = time.monotonic()
            try:
                status, _ = self.whole.ask("GET", "/health")
                if status != 200:
                    self.bad.append(status)
            except (OSError, http.client.HTTPException) as error:
                self.bad.append(repr(error))
            self.count += 1
            self.longest = max(self.longest, time.monotonic() - began)
            self.done.wait(0.005)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_this_repository_becomes_a_release_that_takes_over_without_a_failed_request(whole: Whole) -> None:
    # the files as they lie here, under git or not: what is tested is what would be shipped
    done = whole.att("release", "stage", str(ROOT), timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    staged = whole.release("staged")
    assert (staged["state"], staged["source"]) == ("staged", str(ROOT))
    assert whole.ask("GET", f"/releases/{staged['id']}?verify=true")[1]["intact"] is True
    visitor = Visitor(whole)
    visitor.start()
    try:
        switched = whole.att("release", "switch", "staged")
    finally:
        visitor.done.set()
        visitor.join()
    assert switched.returncode == 0, switched.stdout + switched.stderr
    assert visitor.bad == []
    print(f"{visitor.count} requests, the longest {visitor.longest * 1000:.0f} ms")
    health = whole.ask("GET", "/health")[1]
    assert health["release"] == staged["id"]
    running = subprocess.run(["pgrep", "-f", f"releases/{staged['id']}/env/bin/python"], capture_output=True)
    assert running.returncode == 0
    told = subprocess.run(
        [whole.home / "bin" / "att", "--version"], env=whole.env, capture_output=True, text=True
    )
    assert told.stdout == f"att {staged['version']}\n", "the stable command calls the release"
    eventually_sync(lambda: whole.release(staged["id"])["state"] == "good", 30)
