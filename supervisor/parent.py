"""The daemon's side of its launcher: what it was given at birth, and the channel between the two.

`Parent.find` reads the environment that `launcher.protocol.messages` describes, takes those variables out of it, and makes the
descriptors close-on-exec, so that nothing a child gets names or holds them. `Parent.listen` speaks first and hands each message
on; the end of the channel means that the launcher is gone. Without a launcher there is no parent, and the daemon takes the lock
of the home itself (`take_home`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from launcher.protocol import messages
from launcher.protocol.channel import Channel, ClosedError
from launcher.protocol.child import KEEPER_MARK
from launcher.protocol.lock import HomeBusyError, HomeLock
from launcher.protocol.messages import BadMessageError, Message
from supervisor.errors import SupervisorError

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

    def listen(self, on_message: Callable[[Message], None], on_gone: Callable[[], None]) -> None:
        """Say hello, then hand on what comes. `on_gone` is called once, when the launcher has ended."""
        loop = asyncio.get_running_loop()

        def readable() -> None:
            try:
                while (got := self._receive()) is not None:
                    message, descriptors = got
                    for descriptor in descriptors:
                        os.close(descriptor)
                    on_message(message)
            except ClosedError:
                loop.remove_reader(self.channel.fileno())
                on_gone()

        loop.add_reader(self.channel.fileno(), readable)
        self.channel.send({"type": "hello", "protocol": [messages.LOWEST, messages.VERSION]})

    def _receive(self) -> tuple[Message, list[int]] | None:
        while True:
            try:
                return self.channel.receive()
            except BadMessageError:
                continue

    def close(self) -> None:
        """Close this side of the channel and our copy of the listening socket, which is never shut down."""
        asyncio.get_running_loop().remove_reader(self.channel.fileno())
        self.channel.close()
        self.listener.close()


def _adopt(number: str) -> socket.socket:
    descriptor = int(number)
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)
