"""Small questions to the system, and how its answers are put into words."""

from __future__ import annotations

import os
import signal

from launcher.protocol.sockets import Socket


def status_text(status: int) -> str:
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def address_text(listener: Socket) -> str:
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def terminal_is_gone() -> bool:
    """SIGHUP from a terminal that was closed asks us to stop; any other asks us to try again."""
    if not os.isatty(2) and not os.isatty(0):
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return True
    return False


def is_stopped(pid: int) -> bool:
    """Whether somebody has sent it SIGSTOP (or a debugger holds it). False where the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:
        return False
