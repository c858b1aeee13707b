"""Starts the launcher: `python -m launcher`, or this folder's file by its path, or the zip that holds it.

Python's `site` and whatever an environment's .pth files import would cost several megabytes for the whole
life of a process that needs nothing but the standard library: so it executes itself once more without them.
The daemon is started with the interpreter and the environment that the launcher was started with.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run by path: the folder above is where the package is
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from launcher import replace
from launcher import settings as settings_module
from launcher.boot import Boot
from launcher.disk import Disk
from launcher.home import Home
from launcher.loop import VERSION, Launcher
from launcher.notify import inherited_socket
from launcher.protocol import child, sockets
from launcher.protocol.lock import HomeBusyError, HomeLock
from launcher.protocol.sockets import Socket
from launcher.record import BadRecordError, parse

USAGE_CODE, UNAVAILABLE_CODE = 2, 69
BACKLOG = 1024


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv in (["--help"], ["-h"]):
        os.write(1, settings_module.USAGE.encode())
        return 0
    if argv == ["--self-check"]:
        return self_check()
    try:
        settings = settings_module.read(argv, os.environ)
    except settings_module.UsageError as error:
        say(f"{error}\n{settings_module.USAGE}")
        return USAGE_CODE
    if not sys.flags.no_site:
        run_lean(argv)
    child.keep_descriptors()
    home = Home(settings.home, Disk())
    try:
        state = replace.handed_over(os.environ)
    except (
        replace.NoStateError
    ) as error:  # cannot be after a trial of this code; then better anew than not at all
        say(str(error))
        return replace.BROKEN_CODE
    if state is not None:
        return go_on(settings, home, state)
    try:
        code = replace.code_at(script())
        os.makedirs(home.path, mode=0o700, exist_ok=True)
        lock = HomeLock(home.path)
        home.prepare()
        listener = inherited_socket(os.environ, os.getpid()) or listen(settings.host, settings.port)
    except (HomeBusyError, OSError) as error:
        say(str(error))
        return UNAVAILABLE_CODE
    return run(Launcher(settings, home, lock, listener, os.environ, code, say), listener, home, lock)


def run(launcher: Launcher, listener: Socket, home: Home, lock: HomeLock) -> int:
    code = launcher.run()
    listener.close()
    home.leave()
    lock.close()
    return code


def go_on(settings: settings_module.Settings, home: Home, state: replace.State) -> int:
    """With what this process knew while it ran other code; what that code was, should this one not be able to."""
    try:
        home.resume(state["run_path"])
        lock, listener = HomeLock.resume(state["lock"]), sockets.Socket(fileno=state["listener"])
        code = replace.Code(state["code"]["path"], state["code"]["fd"])
        launcher = Launcher(settings, home, lock, listener, os.environ, code, say, state)
    except Exception as error:
        why = replace.fall_back(state, replace.told(error))
        say(f"{replace.told(error)}; {why}")
        return replace.BROKEN_CODE
    return run(launcher, listener, home, lock)


def self_check() -> int:
    """Whether this code loads, and understands what the one that runs would hand over to it."""
    try:
        state = replace.handed_over(os.environ)
        if state is not None:
            Boot(parse(state["record"])).resume(state["boot"])
            replace.descriptors(state)
    except (replace.NoStateError, BadRecordError, KeyError, TypeError, ValueError) as error:
        say(replace.told(error))
        return replace.BROKEN_CODE
    os.write(1, f"{VERSION}\n".encode())
    return 0


def run_lean(argv: list[str]) -> None:
    """The same once more, without site and what hangs on it.

    The process, its descriptors and its environment stay.
    """
    child.become_subreaper()  # here, so that what it takes is not loaded afterwards
    os.execv(sys.executable, [sys.executable, "-I", "-S", script(), *argv])  # noqa: S606


def script() -> str:
    """Where this code is: a zip, or the file that starts the package."""
    here = os.path.dirname(os.path.abspath(__file__))
    main_file = os.path.join(here, "__main__.py")
    return (
        main_file if os.path.isfile(main_file) else os.path.dirname(here)
    )  # inside a zip, `here` is below a file


def listen(host: str, port: int) -> Socket:
    try:
        return sockets.listening(host, port, BACKLOG)
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
