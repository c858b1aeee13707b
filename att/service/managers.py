"""Speaking to systemd and to launchd, behind one small interface: what is there now, start, stop, look again."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from att.service.description import LABEL, START, STOP, Kind, Scope
from att.service.errors import CommandFailed, NoServiceManager
from att.service.plan import Places
from att.service.run import Runner
from att.service.systemd import SERVICE, SOCKET

BOOTED = Path("/run/systemd/system")  # systemd's own sign that it is the first process
STOP_LIMIT = STOP + 30.0
START_LIMIT = 90.0  # how long an install watches; the service goes on starting without us
_LOOK_AGAIN = 0.1


@dataclass(frozen=True, slots=True)
class State:
    """What the service manager says of the service. `active` is systemd's word, or launchd's in the same sense."""

    enabled: bool
    active: str
    pid: int | None = None
    said: str = ""
    exit_code: int | None = None
    restarts: int | None = None

    @property
    def up(self) -> bool:
        return self.active in ("active", "activating", "reloading")


class Manager(Protocol):
    kind: Kind

    def require(self) -> None:
        """NoServiceManager when it does not run."""

    def state(self) -> State: ...

    def look_again(self) -> None:
        """Files have changed."""

    def enable(self, names: list[str]) -> None:
        """Start it with the machine, or with the user's first login."""

    def start(self, names: list[str]) -> bool:
        """Start it now; whether it is up within a while."""

    def stop(self, names: list[str]) -> None:
        """Stop it now, and do not start it again by itself."""


class Systemd:
    kind = Kind.SYSTEMD

    def __init__(self, run: Runner, scope: Scope, booted: Path = BOOTED) -> None:
        self._run, self._scope, self._booted = run, scope, booted
        self._systemctl = ("systemctl", "--user") if scope is Scope.USER else ("systemctl",)

    def require(self) -> None:
        if not self._run.has("systemctl") or not self._booted.is_dir():
            raise NoServiceManager("systemd does not run here: it is not the first process of this machine.")
        done = self._run.ask(*self._systemctl, "show", "--property=Version", "--value")
        if done.code != 0:
            whose = "of this user " if self._scope is Scope.USER else ""
            raise NoServiceManager(
                f"The systemd {whose}does not answer: {done.said}.",
                hint="Log in as this user (ssh, machinectl shell), or after `loginctl enable-linger` set "
                "XDG_RUNTIME_DIR=/run/user/$(id -u); or install with --scope system as root."
                if self._scope is Scope.USER
                else None,
            )

    def state(self) -> State:
        wanted = "UnitFileState,ActiveState,MainPID,StatusText,ExecMainStatus,NRestarts"
        told = self._run.do(*self._systemctl, "show", f"--property={wanted}", SERVICE).out
        facts = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        pid = int(facts.get("MainPID") or 0)
        return State(
            enabled=facts.get("UnitFileState") in ("enabled", "enabled-runtime"),
            active=facts.get("ActiveState") or "inactive",
            pid=pid or None,
            said=facts.get("StatusText", ""),
            exit_code=None if pid else int(facts.get("ExecMainStatus") or 0),
            restarts=int(facts.get("NRestarts") or 0),
        )

    def look_again(self) -> None:
        self._run.do(*self._systemctl, "daemon-reload")

    def enable(self, names: list[str]) -> None:
        self._run.do(*self._systemctl, "enable", *names)

    def start(self, names: list[str]) -> bool:
        """Watched from outside, since `systemctl start` waits for as long as the launcher may try."""
        first = [SOCKET] if SOCKET in names else []
        self._run.do(*self._systemctl, "start", "--no-block", *first, SERVICE)
        until = time.monotonic() + min(START, START_LIMIT)
        while _is_coming(seen := self.state()) and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN)
        return seen.active == "active"

    def stop(self, names: list[str]) -> None:
        self._run.do(*self._systemctl, "stop", *reversed(names), limit=STOP_LIMIT)
        self._run.do(*self._systemctl, "disable", *names)
        self._run.ask(*self._systemctl, "reset-failed", *names)  # refused when nothing has failed


def _is_coming(seen: State) -> bool:
    """Not there yet, and not between two tries. Before the first one, the exit code is that of an earlier life."""
    return seen.active == "inactive" or (seen.active == "activating" and not seen.exit_code)


class Launchd:
    kind = Kind.LAUNCHD

    def __init__(self, run: Runner, where: Places) -> None:
        self._run, self._file = run, where.paths[0]
        self._domain = f"gui/{os.getuid()}" if where.scope is Scope.USER else "system"
        self._target = f"{self._domain}/{LABEL}"

    def require(self) -> None:
        if not self._run.has("launchctl"):
            raise NoServiceManager("launchd does not run here: there is no launchctl.")
        done = self._run.ask("launchctl", "print", self._domain)
        if done.code != 0:
            raise NoServiceManager(
                f"launchd has no {self._domain}: {done.said}.",
                hint="Log in at the screen of this Mac first, or install with --scope system as root.",
            )

    def state(self) -> State:
        done = self._run.ask("launchctl", "print", self._target)
        if done.code != 0:
            return State(enabled=False, active="inactive")
        found = dict(re.findall(r"^\t([a-z][a-z ]*) = (\S+)", done.out, re.MULTILINE))
        code = found.get("last exit code", "")
        running = found.get("state") == "running"
        return State(
            enabled=not self._disabled(),
            active="active" if running else "inactive",
            pid=int(found["pid"]) if found.get("pid", "").isdigit() else None,
            exit_code=int(code.rstrip(":")) if not running and code.rstrip(":").isdigit() else None,
        )

    def _disabled(self) -> bool:
        told = self._run.ask("launchctl", "print-disabled", self._domain).out
        return re.search(rf'"{re.escape(LABEL)}" => (true|disabled)', told) is not None

    def _loaded(self) -> bool:
        return self._run.ask("launchctl", "print", self._target).code == 0

    def look_again(self) -> None:
        """launchd reads the file when the service is loaded, and not again."""

    def enable(self, names: list[str]) -> None:
        self._run.do("launchctl", "enable", self._target)

    def start(self, names: list[str]) -> bool:
        """Loaded anew, so that it is the file as it stands now that counts."""
        self.stop(names)
        self._run.do("launchctl", "bootstrap", self._domain, str(self._file))
        return self._wait(lambda: self.state().active == "active", START_LIMIT)

    def stop(self, names: list[str]) -> None:
        if not self._loaded():
            return
        done = self._run.ask("launchctl", "bootout", self._target, limit=STOP_LIMIT)
        if not self._wait(lambda: not self._loaded(), STOP_LIMIT):
            command = f"launchctl bootout {self._target}"
            raise CommandFailed(f"`{command}`: {done.said}", command=command, output=done.said)

    def _wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not (held := holds()) and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN)
        return held


def manager(where: Places, run: Runner, booted: Path = BOOTED) -> Manager:
    """The one that reads the files of these places."""
    if where.kind is Kind.LAUNCHD:
        return Launchd(run, where)
    return Systemd(run, where.scope, booted)
