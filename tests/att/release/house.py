"""A home with releases in it, a source small enough to be built in a moment, and the launcher's own rules to speak to."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from att.release.releases import Releases
from launcher import events as ev
from launcher.boot import Boot
from launcher.disk import Disk as LauncherDisk
from launcher.home import Home
from launcher.journal import Journal
from launcher.verdict import Kind
from tests.att.rooms import Rooms, rooms

BACKEND = """
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    {act}
    info = "agent_toolkit_toolkit-{version}.dist-info"
    name = "agent_toolkit_toolkit-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as out:
        for file in ("__init__.py", "daemon.py"):
            out.write("att/" + file)
        out.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: agent-toolkit-toolkit\\nVersion: {version}\\n")
        out.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nGenerator: us\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        out.writestr(info + "/RECORD", "")
    return name
"""
DAEMON = "import sys\nprint('checked', sys.argv[1:])\nsys.exit({code})\n"


def make_source(folder: Path, *, version: str = "9.9", act: str = "pass", code: int = 0) -> Path:
    """A source that is built without any package from elsewhere; `code` is how its self-check ends."""
    (folder / "att").mkdir(parents=True)
    (folder / "att" / "__init__.py").write_text("")
    (folder / "att" / "daemon.py").write_text(DAEMON.format(code=code))
    (folder / "backend.py").write_text(BACKEND.format(version=version, act=act))
    (folder / "requirements.lock").write_text("")
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "agent-toolkit-toolkit"\nversion = "{version}"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return folder


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder), *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def committed(folder: Path) -> str:
    """The folder as a repository with one commit; its name."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


def add_release(home: Path, name: str, built_at: str = "2026-01-01T00:00:00Z", **more: Any) -> Path:
    folder = home / "releases" / name
    (folder / "env" / "bin").mkdir(parents=True)
    (folder / "env" / "bin" / "python").symlink_to(sys.executable)
    (folder / "release.json").write_text(
        json.dumps({"id": name, "built_at": built_at, "version": "1"} | more)
    )
    return folder


class Rules:
    """The launcher without processes: its real rules, record and journal, with lives that are only told of."""

    def __init__(self, home: Path) -> None:
        self.home = Home(str(home), LauncherDisk())
        record, _ = self.home.load()
        self.boot = Boot(record)
        self.journal = Journal(self.home.journal_path, LauncherDisk())
        self.now = 0.0
        self.sent: list[dict[str, Any]] = []
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.deaf = False
        self.home.save(record)  # as the launcher does before it starts anything
        self.step(ev.Begin())
        self.step(ev.Healthy())

    def send(self, message: dict[str, Any]) -> None:
        """What a daemon says; answered a moment later."""
        self.sent.append(message)
        if not self.deaf:
            kind = {"stage": ev.Staged, "switch": ev.SwitchAsked}[message["type"]]
            asyncio.get_running_loop().call_soon(self.step, kind(message["release"]))

    def step(self, event: ev.Event) -> None:
        for action in self.boot.step(event, self.now):
            if isinstance(action, ev.Save):
                self.home.save(self.boot.record)
            elif isinstance(action, ev.Note):
                entry = self.journal.add(action.event, release=action.release, reason=action.reason)
                for listener in list(self.listeners):
                    listener({"type": "journal", "entry": entry})

    def take_over(self) -> None:
        """The standby is healthy, the old one leaves, the new one is healthy and stays so until it is good."""
        self.step(ev.StandbyHealthy())
        self.step(ev.Died(Kind.RESTART))
        self.become_good()

    def become_good(self) -> None:
        self.step(ev.Healthy())
        self.now += 100
        self.step(ev.Tick())


@asynccontextmanager
async def releases(
    home: Path, rules: Rules | None = None, **named: Any
) -> AsyncIterator[tuple[Releases, Rooms]]:
    """The service, opened, on a store of its own."""
    async with rooms(home) as house:
        send = rules.send if rules is not None else None
        environ = named.pop("environ", {"PATH": "/usr/bin:/bin", "UV_OFFLINE": "1"})
        running = named.pop("running", "installed")
        made = Releases(home, house.events, send, running=running, version="1.0", environ=environ, **named)
        if rules is not None:
            rules.listeners.append(made.hear)
        await made.open()
        try:
            yield made, house
        finally:
            if rules is not None:
                rules.listeners.remove(made.hear)
            await made.aclose()
