"""A real launcher process with a fake daemon below it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import eventually_sync

ROOT = Path(__file__).resolve().parents[2]
ENV = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("ATT_", "NOTIFY_", "LISTEN_", "WATCHDOG_"))
}


class Home:
    """An ATT home made by hand, and what can be read out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def behave(self, **releases: dict[str, object]) -> None:
        beside = self.path / "behaviour.new"
        beside.write_text(json.dumps(releases))
        beside.rename(self.path / "behaviour.json")

    def add_release(self, name: str, built_at: str = "2026-01-01T00:00:00Z", **more: object) -> None:
        folder = self.path / "releases" / name
        (folder / "env" / "bin").mkdir(parents=True)
        (folder / "env" / "bin" / "python").symlink_to(sys.executable)
        (folder / "release.json").write_text(json.dumps({"id": name, "built_at": built_at} | more))

    def write_record(self, current: str, **states: str) -> None:
        releases = {name: {"state": state} for name, state in states.items()} | {
            "installed": {"state": "good"}
        }
        body = {"version": 1, "current": current, "previous": None, "staged": None, "tries": 0, "deaths": 0}
        body |= {"rung": "normal", "given_up": [], "clean": True, "releases": releases}
        (self.path / "boot.json").write_text(json.dumps(body))

    def record(self) -> dict[str, Any]:
        return json.loads((self.path / "boot.json").read_text())

    def state(self, release: str) -> str:
        return self.record()["releases"][release]["state"]

    def journal(self) -> list[dict[str, Any]]:
        return lines(self.path / "launcher.ndjson")

    def births(self) -> list[dict[str, Any]]:
        return lines(self.path / "births.ndjson")


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file that is being written."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1] if line.endswith("}")]


class Launched:
    """One launcher process."""

    def __init__(
        self,
        home: Home,
        *flags: str,
        env: dict[str, str] | None = None,
        code: Path | None = None,
        **popen: Any,
    ) -> None:
        self.home = home
        self.skip = len(home.journal())
        words = ["-m", "launcher"] if code is None else [str(code)]
        command = [sys.executable, *words, "--home", str(home.path), "--listen", "127.0.0.1:0"]
        command += ["--module", "tests.launcher.fake_daemon", *flags]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=ENV | {"PYTHONPATH": str(ROOT)} | (env or {}),
            stderr=subprocess.PIPE,
            text=True,
            **popen,
        )

    def entries(self, event: str = "", release: str = "") -> list[dict[str, Any]]:
        """What this launcher has written into the journal."""
        return [
            entry
            for entry in self.home.journal()[self.skip :]
            if (not event or entry["event"] == event) and (not release or entry.get("release") == release)
        ]

    def wait_for(
        self, event: str, release: str = "", times: int = 1, timeout: float = 15.0
    ) -> dict[str, Any]:
        try:
            found = eventually_sync(lambda: self.entries(event, release)[times - 1 :], timeout)
        except AssertionError:
            raise AssertionError(
                f"no {event} {release}: {[(e['event'], e.get('reason')) for e in self.entries()]}"
            ) from None
        return found[0]

    def port(self) -> int:
        return int(self.wait_for("listening")["reason"].rpartition(":")[2])

    def get(self, path: str = "/", timeout: float = 10.0) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port()}{path}", timeout=timeout) as answer:
            return json.loads(answer.read())

    def status(self, path: str = "/") -> tuple[int, dict[str, Any]]:
        try:
            return 200, self.get(path)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 15.0) -> int:
        return self.process.wait(timeout)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        for birth in self.home.births():
            if alive(birth["pid"]):
                os.kill(birth["pid"], signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def launch(home: Home) -> Iterator[Callable[..., Launched]]:
    started: list[Launched] = []

    def start(*flags: str, **more: Any) -> Launched:
        started.append(Launched(home, *flags, **more))
        return started[-1]

    yield start
    for launched in started:
        launched.end()
