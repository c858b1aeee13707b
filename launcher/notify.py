"""What systemd is told and what it hands over: sd_notify, the watchdog, and sockets in LISTEN_FDS. Without
systemd all of it is nothing.

None of these variables may reach a child: it would speak in the launcher's name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from launcher.protocol import sockets
from launcher.protocol.sockets import Socket
from launcher.protocol.words import suppress

FIRST_FD = 3
PRIVATE = (
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
)


def without_private(env: Mapping[str, str]) -> dict[str, str]:
    """`env` as a child may have it."""
    return {
        key: value
        for key, value in env.items()
        if not key.startswith(("LISTEN_", "WATCHDOG_")) and key not in PRIVATE
    }


class Notifier:
    """Messages to the service manager. A service manager that does not listen changes nothing for us."""

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: Socket | None = None
        self._last = ""
        if self._address:
            self._socket = sockets.Socket(sockets.AF_UNIX, sockets.SOCK_DGRAM)
            self._socket.setblocking(False)

    def send(self, *lines: str) -> None:
        """Lines such as READY=1; the same text as the last one is sent again only for the watchdog."""
        text = "\n".join(lines)
        if self._socket is None or (text == self._last and text != "WATCHDOG=1"):
            return
        with suppress(OSError):
            self._socket.sendto(text.encode(), self._address)
            if text != "WATCHDOG=1":
                self._last = text

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def watchdog_period(env: Mapping[str, str], pid: int) -> float | None:
    """How often to say WATCHDOG=1: a third of what is allowed; None when nobody wants it."""
    allowed, whose = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
    if not allowed.isdigit() or int(allowed) == 0 or (whose and whose != str(pid)):
        return None
    return int(allowed) / 3e6


def inherited_socket(env: Mapping[str, str], pid: int) -> Socket | None:
    """The first listening stream socket that the service manager hands over, when it does."""
    if env.get("LISTEN_PID") != str(pid) or not env.get("LISTEN_FDS", "").isdigit():
        return None
    for fd in range(FIRST_FD, FIRST_FD + min(int(env["LISTEN_FDS"]), 64)):
        os.set_inheritable(fd, False)
        given = sockets.Socket(fileno=fd)
        if given.type == sockets.SOCK_STREAM and given.getsockopt(sockets.SOL_SOCKET, sockets.SO_ACCEPTCONN):
            return given
        given.detach()
    return None
