"""A real launcher with the real daemon below it, the app of the chaos below that, and all that can be seen of them from outside:
the API, the journal and the boot record, `/proc`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.app import COUNTS, LINE
from tests.chaos.ledger import Stream, Written
from tests.launcher.conftest import ENV, ROOT, lines
from tests.support import eventually_sync, free_port

RATE = 5000
# a release that hangs must be found out within its probation, which takes 60 % of `hang`
PACE = {"hang": 6.0, "start": 10.0, "probation": 4.5, "grace": 10.0, "drain": 6.0, "retry": 5.0}
BRISK = PACE | {"probation": 1.0}  # for rounds without such a release
SETTINGS = {
    "ATT_LOG_MIN_FREE_PERCENT": "0",
    "ATT_LOG_MIN_FREE": "0",
    "ATT_LOG_RING": "8MiB",
    "ATT_LOG_WAIT": "2",
    "PYTHONPATH": str(ROOT),
}
PROJECT = "chaos"
LOGS = f"/api/v1/projects/{PROJECT}/runtime/logs"


class Lives(NamedTuple):
    """What the journal says lives now."""

    daemon: int | None
    standby: int | None


class Answer(NamedTuple):
    status: int
    body: Any


class House:
    """`folder` is its own; everything started here carries its path in the environment, so it can be found."""

    def __init__(self, folder: Path, pace: Mapping[str, float] = PACE) -> None:
        self.folder, self.home = folder, folder / "home"
        self.app = self.home / "projects" / PROJECT
        self.port = free_port()
        self.out = folder / "launcher.out"
        self._pace = pace
        self._process: subprocess.Popen[bytes] | None = None
        self.home.mkdir(parents=True)
        (self.app / "runs").mkdir(parents=True)

    # -- the launcher

    def start(self) -> None:
        flags = [word for name, value in self._pace.items() for word in (f"--{name}", f"{value:g}")]
        command = [sys.executable, "-m", "launcher", "--home", str(self.home), *flags]
        command += ["--listen", f"127.0.0.1:{self.port}", "--module", "tests.chaos.release"]
        with self.out.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=ENV | SETTINGS, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        eventually_sync(self.answers, 30)

    def stop(self) -> int:
        """SIGTERM, everything ends in order; the launcher's exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def hang_up(self) -> None:
        """SIGHUP: the launcher looks for new releases and has the daemon start again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        """Whatever has happened, nothing of ours is left."""
        if self._process is not None and self._process.poll() is None:
            for pid in self.everybody():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        for _ in range(5):
            for pid in self.everybody():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    # -- the API

    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def ask(self, method: str, path: str, body: object = None, timeout: float = 60.0) -> Answer:
        """One request on a connection of its own; OSError and HTTPException when it is cut."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        head = {"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"}
        with contextlib.closing(connection):
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), head)
            answer = connection.getresponse()
            data = answer.read()
            return Answer(answer.status, json.loads(data) if data else None)

    def figure(self, name: str) -> float:
        """What `/metrics` says of this."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.token()}"})
            told = connection.getresponse().read().decode()
        found = [float(line.split()[1]) for line in told.splitlines() if line.startswith(f"{name} ")]
        return found[0]

    def insist(self, method: str, path: str, body: object = None) -> Answer:
        """Asked again when it was cut, as everybody does whose connection dies."""

        def asked() -> list[Answer]:
            try:
                return [self.ask(method, path, body)]
            except (OSError, http.client.HTTPException):
                return []

        return eventually_sync(asked, 60, every=0.05)[0]

    def answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the launcher left with {self._process.returncode}")
        try:
            return self.ask("GET", "/health", timeout=5).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def begin_app(self, rate: int = RATE) -> None:
        command = [sys.executable, "-m", "tests.chaos.app", str(self.app), str(rate)]
        text = (
            f'[runtime]\ncommand = {json.dumps(command)}\nstop_grace = 2\nenv = {{ PYTHONPATH = "{ROOT}" }}\n'
        )
        (self.app / "att.toml").write_text(text)
        made = self.ask("POST", "/projects", {"name": PROJECT, "path": str(self.app)})
        assert made.status == 201, made
        started = self.ask("POST", f"/projects/{PROJECT}/runtime/start")
        assert started.status == 200, started
        eventually_sync(self.app_pid, 20)

    # -- releases

    def add_release(self, name: str, defect: str = "") -> None:
        """The interpreter of the tests under another name, and a module that is the daemon with this defect."""
        folder = self.home / "releases" / name
        python = folder / "env" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        body = {
            "id": name,
            "version": "0",
            "commit": None,
            "built_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "digest": None,
            "module": "tests.chaos.release",
            "defect": defect,
        }
        (folder / "release.json").write_text(json.dumps(body))

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "boot.json").read_text())
        return found

    def state(self, release: str) -> str | None:
        entry = self.record()["releases"].get(release)
        return None if entry is None else str(entry["state"])

    def journal(self) -> list[dict[str, Any]]:
        return lines(self.home / "launcher.ndjson")

    def lives(self) -> Lives:
        """Read out of the journal, as a person would."""
        daemon: int | None = None
        standby: int | None = None
        for entry in self.journal():
            match entry["event"]:
                case "launcher_started":
                    daemon = standby = None
                case "started":
                    words = entry["reason"].replace(",", "").split()
                    if "standby" in words:
                        standby = int(words[1])
                    else:
                        daemon = int(words[1])
                case "switched":
                    daemon, standby = standby, None
                case "exited":
                    daemon = None
                case "standby_lost":
                    standby = None
        return Lives(daemon, standby)

    # -- processes

    def everybody(self) -> list[int]:
        """All processes that carry our path, the launcher's too."""
        mark, found = os.fsencode(self.folder), []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError):
                    about = Path(f"/proc/{name}")
                    if (
                        mark
                        in about.joinpath("environ").read_bytes() + about.joinpath("cmdline").read_bytes()
                    ):
                        found.append(int(name))
        return found

    def app_pid(self) -> int | None:
        """The first process of the newest run that lives."""
        runs = sorted((self._counts(path) for path in (self.app / "runs").iterdir()), key=lambda c: c[5])
        pid = int(runs[-1][0]) if runs else None
        return pid if pid in self.everybody() else None

    def written(self) -> dict[Stream, Written]:
        """What every run has written so far, by its own notes."""
        found: dict[Stream, Written] = {}
        for path in (self.app / "runs").iterdir():
            counts = self._counts(path)
            found[path.name, "stdout"] = Written(counts[1], counts[2])
            found[path.name, "stderr"] = Written(counts[3], counts[4])
        return found

    def _counts(self, path: Path) -> tuple[int, ...]:
        data = path.read_bytes()
        return COUNTS.unpack(data) if len(data) == COUNTS.size else (0,) * 6

    def lines_written(self) -> int:
        return sum(each.done // LINE for each in self.written().values())

    def seconds(self) -> list[str]:
        """Copies of the app that began while another one, or something of it, was still there."""
        told = self.app / "second"
        return told.read_text().splitlines() if told.exists() else []
