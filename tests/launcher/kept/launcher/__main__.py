"""Starts the launcher: `python -m launcher`, or this folder's file by its path, or the zip that holds it.

Python's `site` and whatever an environment's .pth files import would cost several megabytes for the whole
life of a process that needs nothing but the standard library: so it executes itself once more without them.
The daemon is started with the interpreter and the environment that the launcher was started with.
"""

from __future__ import annotations

import os
import socket
import sys

if not __package__:  # run by path: the folder above is where the package is
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from launcher import settings as settings_module
from launcher.disk import Disk
from launcher.home import Home
from launcher.loop import Launcher
from launcher.notify import inherited_socket
from launcher.protocol.lock import HomeBusyError, HomeLock

USAGE_CODE, UNAVAILABLE_CODE = 2, 69
BACKLOG = 1024


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv in (["--help"], ["-h"]):
        os.write(1, settings_module.USAGE.encode())
        return 0
    try:
        settings = settings_module.read(argv, os.environ)
    except settings_module.UsageError as error:
        say(f"{error}\n{settings_module.USAGE}")
        return USAGE_CODE
    if not sys.flags.no_site:
        run_lean(argv)
    home = Home(settings.home, Disk())
    try:
        os.makedirs(home.path, mode=0o700, exist_ok=True)
        lock = HomeLock(home.path)
        home.prepare()
        listener = inherited_socket(os.environ, os.getpid()) or listen(settings.host, settings.port)
    except (HomeBusyError, OSError) as error:
        say(str(error))
        return UNAVAILABLE_CODE
    code = Launcher(settings, home, listener, os.environ, sys.executable, say).run()
    listener.close()
    home.leave()
    lock.close()
    return code


def run_lean(argv: list[str]) -> None:
    """The same once more, without site and what hangs on it.

    The process, its descriptors and its environment stay.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    script = (
        here if os.path.isfile(here) else os.path.join(here, "__main__.py")
    )  # inside a zip, `here` is below a file
    if not os.path.isfile(script):
        script = os.path.dirname(here)
    os.execv(sys.executable, [sys.executable, "-I", "-S", script, *argv])


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


def say(text: str) -> None:
    """A line on stderr; a stderr that takes nothing more changes nothing."""
    try:
        os.write(2, f"launcher: {text}\n".encode(errors="replace"))
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
