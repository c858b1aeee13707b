"""The daemon's side of its launcher: what it was given at birth, and the channel between the two.

`Parent.find` reads the environment that `launcher.protocol.messages` describes, takes those variables out of it, and makes the
descriptors close-on-exec, so that nothing a child gets names or holds them. `Parent.link` speaks first; what comes after that is
the link's. Without a launcher there is no parent, and the daemon takes the lock of the home itself (`take_home`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from launcher.protocol import messages
from launcher.protocol.channel import Channel
from launcher.protocol.child import KEEPER_MARK
from launcher.protocol.lock import HomeBusyError, HomeLock
from launcher.protocol.messages import Message
from supervisor.errors import SupervisorError
from supervisor.link import Link

RESTART_CODE = messages.RESTART_CODE
CONFIG_CODE = messages.CONFIG_CODE


class HomeBusy(SupervisorError):
    """Another ATT keeps this home."""

    def __init__(self, home: Path, pid: int) -> None:
        super().__init__(f"{f'Process {pid}' if pid else 'Another process'} already runs ATT in {home}.")
        self.pid = pid


def take_home(home: Path) -> HomeLock:
    """The lock of the home, held until it is closed or the process ends. Raises HomeBusy."""
    try:
        return HomeLock(str(home))
    except HomeBusyError as error:
        raise HomeBusy(home, error.pid) from None


def mark_life(keeper_id: str) -> None:
    """Without a launcher: what this life starts carries the home's own mark."""
    os.environ[KEEPER_MARK] = keeper_id


def marks(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What is to stand in the environment of everything short that this life starts (a build, a clone): by it, what a killed
    life left behind is found and ended."""
    return {name: environ[name] for name in (KEEPER_MARK, messages.BOOT_ID) if name in environ}


@dataclass(frozen=True, slots=True)
class Parent:
    """What a launcher gave to this life."""

    channel: Channel
    listener: socket.socket
    boot_id: str
    release: str
    health_socket: Path
    safe_mode: bool
    standby: bool

    @classmethod
    def find(cls, environ: MutableMapping[str, str]) -> Parent | None:
        """The launcher that started this process, or None."""
        given = {name: environ.pop(name, "") for name in messages.PRIVATE}
        if not given[messages.LAUNCHER_FD]:
            return None
        channel, listener = (_adopt(given[name]) for name in (messages.LAUNCHER_FD, messages.LISTEN_FD))
        environ[messages.BOOT_ID] = given[messages.BOOT_ID]  # by it, what a dead life left behind is found
        return cls(
            channel=Channel(channel),
            listener=listener,
            boot_id=given[messages.BOOT_ID],
            release=given[messages.RELEASE],
            health_socket=Path(given[messages.HEALTH_SOCKET]),
            safe_mode=given[messages.SAFE_MODE] == "1",
            standby=given[messages.STANDBY] == "1",
        )

    def link(self, on_message: Callable[[Message], None], on_gone: Callable[[], None]) -> Link:
        """Say hello on the channel, which from now on is the link's."""
        link = Link(self.channel, on_message, on_gone)
        link.send({"type": "hello", "protocol": [messages.LOWEST, messages.VERSION]})
        return link


def launcher_id() -> str:
    """Which launcher keeps us: another one after it was started anew, the same while it lives, also when it executes new code."""
    import psutil

    parent = psutil.Process(os.getppid())
    return f"{parent.pid}-{parent.create_time():.2f}"


def _adopt(number: str) -> socket.socket:
    descriptor = int(number)
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)
