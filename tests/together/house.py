"""A real launcher with the real daemon below it, and small apps below that."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.daemon import ROOT, Answer, RunningDaemon, environment
from tests.support import eventually_sync, free_port

PYTHON = (sys.executable, "-I", "-S", "-u", "-c")
SLEEPER = "import signal\nprint('up')\nsignal.pause()"
# Numbered lines at about 5,000 a second, in small writes; what it has written when it is asked to leave is its last word.
COUNTER = """
import os, signal, time
leave = []
signal.signal(signal.SIGTERM, lambda *_: leave.append(1))
n, began = 0, time.monotonic()
while not leave:
    while n < (time.monotonic() - began) * 5000:
        os.write(1, b"".join(b"%d\\n" % k for k in range(n, n + 10)))
        n += 10
    time.sleep(0.002)
os.write(2, b"last %d\\n" % n)
"""


class House(RunningDaemon):
    """One launcher; `process` is it."""

    def daemon_pid(self) -> int | None:
        """The process that answers now."""
        with contextlib.suppress(OSError, HTTPException, ValueError):
            health = self.ask("GET", "/health")
            if health.status == 200:
                return int(health.json["pid"])
        return None

    def journal(self, event: str = "") -> list[dict[str, Any]]:
        path = self.home / "launcher.ndjson"
        if not path.exists():
            return []
        entries = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        return [entry for entry in entries if event in ("", entry["event"])]

    def status(self, project: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/projects/{project}/runtime/status")
        assert answer.status == 200, answer.text
        return answer.json  # type: ignore[no-any-return]

    def start_app(self, name: str, program: str, settings: str = "", wait: str = "ready") -> str:
        """A project that runs `program`; its id. Each writes when it is up: before that it has not set its signals yet."""
        project = self.project(name, [*PYTHON, program], settings)
        answer = self.ask("POST", f"/projects/{project}/runtime/start?wait={wait}")
        assert answer.status == 200, answer.text
        if wait == "ready":
            newest = f"/projects/{project}/runtime/logs?limit=1&run={answer.json['run_id']}"
            eventually_sync(lambda: self.ask("GET", newest).json["lines"])
        return project

    def until(self, project: str, state: str) -> dict[str, Any]:
        """The status of the app once it is in this state."""

        def there() -> dict[str, Any]:
            found = self.status(project)
            return found if found["state"] == state else {}

        return eventually_sync(there, 20)

    def events(self, *types: str) -> list[dict[str, Any]]:
        """All events of these types, oldest first."""
        wanted = "&".join(f"type={one}" for one in types)
        answer = self.ask("GET", f"/events?order=oldest&limit=1000&{wanted}")
        assert answer.status == 200, answer.text
        return answer.json["events"]  # type: ignore[no-any-return]

    def lines(self, project: str) -> list[dict[str, Any]]:
        """All lines, page by page; nothing may be lost."""
        found: list[dict[str, Any]] = []
        cursor = "oldest"
        while True:
            page = self.ask("GET", f"/projects/{project}/runtime/logs?cursor={cursor}&limit=10000").json
            assert page["lost"] is None, page["lost"]
            found += page["lines"]
            if not page["lines"]:
                return found
            cursor = page["next_cursor"]

    def kill_daemon(self) -> int:
        """As a crash would; its number."""
        pid = self.daemon_pid() or 0
        os.kill(pid, signal.SIGKILL)
        return pid

    def new_life(self, before: int) -> int:
        """The number of the daemon that came after `before`, once it answers."""
        return (
            eventually_sync(lambda: pid if (pid := self.daemon_pid()) not in (None, before) else None, 30)
            or 0
        )


def begin(home: Path, port: int = 0, *flags: str, **variables: str) -> House:
    """Starts a launcher in `home`, and waits until its daemon answers."""
    port = port or free_port()
    with (home.parent / f"{home.name}.out").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher", "--home", str(home), "--listen", f"127.0.0.1:{port}", *flags],
            env=environment(home, port, **variables),
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    house = House(process, home, port)

    def up() -> bool:
        assert process.poll() is None, house.said
        return house.daemon_pid() is not None if (home / "token").exists() else False

    try:
        eventually_sync(up, 30)
    except BaseException:
        print(house.said)
        end(house)
        raise
    return house


def end(house: House) -> None:
    """Whatever became of it, nothing is left."""
    if house.process.poll() is None:
        house.process.send_signal(signal.SIGCONT)
        house.process.send_signal(signal.SIGTERM)
        try:
            house.process.wait(30)
        except subprocess.TimeoutExpired:
            print(house.said)
            house.process.kill()
            house.process.wait()
            raise


@contextlib.contextmanager
def housed(home: Path, *flags: str, **variables: str) -> Iterator[House]:
    house = begin(home, 0, *flags, **variables)
    try:
        yield house
    except BaseException:
        print(house.said[-6000:])
        raise
    finally:
        end(house)


class Follower(threading.Thread):
    """Follows the lines of an app as a client does that reconnects by cursor; `lines` are all it was given."""

    def __init__(self, house: House, project: str) -> None:
        super().__init__(daemon=True)
        self._house, self._path = house, f"/api/v1/projects/{project}/runtime/logs"
        self.lines: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.connections = 0
        self.cursor = "oldest"
        self._over = threading.Event()
        self._connection: HTTPConnection | None = None

    def has(self, count: int) -> bool:
        """Whether it was given more lines than so many."""
        return len(self.lines) > count

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._follow()
            except ConnectionRefusedError as error:
                self.refused.append(str(error))
            except (OSError, HTTPException, ValueError):
                continue  # the daemon ended; from the same cursor again

    def _follow(self) -> None:
        self._connection = connection = HTTPConnection("127.0.0.1", self._house.port, timeout=20)
        with contextlib.closing(connection):
            head = {"Authorization": f"Bearer {self._house.token}", "Accept": "application/x-ndjson"}
            connection.request("GET", f"{self._path}?cursor={self.cursor}", headers=head)
            answer = connection.getresponse()
            if answer.status != 200:
                raise ValueError(answer.read())
            self.connections += 1
            while not self._over.is_set() and (line := answer.readline()):
                if not line.endswith(b"\n"):
                    return
                self._take(json.loads(line))

    def _take(self, told: dict[str, Any]) -> None:
        assert "lost" not in told or told["lost"] is None, told
        if "cursor" in told and "text" in told:
            self.lines.append(told)
            self.cursor = told["cursor"]

    def stop(self) -> None:
        self._over.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)  # else it waits for a line that never comes
        self.join(30)


class Visitor(threading.Thread):
    """Asks again and again on new connections; what is refused or fails is kept."""

    def __init__(self, house: House) -> None:
        super().__init__(daemon=True)
        self._house = house
        self.answers: list[Answer] = []
        self.refused: list[str] = []
        self.broken: list[str] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.02):
            try:
                self.answers.append(self._house.ask("GET", "/health"))
            except ConnectionRefusedError as error:
                self.refused.append(str(error))
            except (OSError, HTTPException) as error:
                self.broken.append(repr(error))

    def stop(self) -> None:
        self._over.set()
        self.join(70)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> Callable[[], bool]:
    return lambda: not alive(pid)


def kill(pid: int, number: int = signal.SIGKILL) -> float:
    os.kill(pid, number)
    return time.monotonic()
