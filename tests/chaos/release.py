"""A release for the chaos: the real daemon, with the defect that its own `release.json` names.

    ""            none
    crash         dies at once                       crash-late       dies a moment after it is the current one
    misconfigured its configuration is wrong (78)    late-78          the same, a moment after
    hang          never serves health                hang-late        its event loop stops, a moment after
    unhealthy     its health is not ok               unhealthy-late   becomes so, a moment after
    impostor      health names another release

A standby has none of the late ones: they begin once the launcher's record names this release as the current one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

EARLY = ("crash", "misconfigured", "hang", "unhealthy", "impostor")
LATE = ("crash-late", "late-78", "hang-late", "unhealthy-late")
DEFECTS = (*EARLY, *LATE)
MOMENT = 0.3
LOOK = 0.05


def defect(home: Path, release: str) -> str:
    try:
        return str(json.loads((home / "releases" / release / "release.json").read_text()).get("defect", ""))
    except FileNotFoundError:
        return ""


def wait_until_current(home: Path, release: str) -> None:
    """Until a moment after this release has become the current one."""
    while json.loads((home / "boot.json").read_text())["current"] != release:
        time.sleep(LOOK)
    time.sleep(MOMENT)


class FalseHealth:
    """Answers the launcher in the daemon's place: as it is told to, at first or from some moment on."""

    def __init__(self, body: dict[str, str]) -> None:
        self.body = body
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(os.environ["ATT_HEALTH_SOCKET"])
        self._socket.listen(64)
        os.environ["ATT_HEALTH_SOCKET"] += ".real"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._socket.accept()
            with client:
                try:
                    client.recv(4096)
                    body = json.dumps(self.body).encode()
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                    client.sendall(head.encode() + body)
                except OSError:
                    continue


def put_in(kind: str, home: Path, release: str) -> None:
    """What is wrong with this release."""
    well = {"status": "ok", "release": release, "boot_id": os.environ["ATT_BOOT_ID"]}
    match kind:
        case "crash":
            sys.exit(1)
        case "misconfigured":
            os.environ["ATT_LOG_RING"] = "a lot"
        case "hang":
            while True:
                signal.pause()
        case "unhealthy":
            FalseHealth(well | {"status": "starting"})
        case "impostor":
            FalseHealth(well | {"release": "somebody-else"})
        case "crash-late":
            later(home, release, lambda: os._exit(1))
        case "late-78":
            later(home, release, lambda: os._exit(78))
        case "unhealthy-late":
            false = FalseHealth(well)
            later(home, release, lambda: false.body.update(status="the store is gone"))
        case "hang-late":
            stick_loop(home, release)


def later(home: Path, release: str, do: Callable[[], object]) -> None:
    def wait() -> None:
        wait_until_current(home, release)
        do()

    threading.Thread(target=wait, daemon=True).start()


def stick_loop(home: Path, release: str) -> None:
    """The event loop of the daemon is held for ever by the next thing that it does."""
    made = asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        loop = made()
        later(home, release, lambda: loop.call_soon_threadsafe(time.sleep, 3600))
        return loop

    asyncio.new_event_loop = new_event_loop
    asyncio.events.new_event_loop = new_event_loop


def main() -> int:
    home, release = Path(os.environ["ATT_HOME"]), os.environ["ATT_RELEASE"]
    put_in(defect(home, release), home, release)
    from att import daemon

    return daemon.main()


if __name__ == "__main__":
    sys.exit(main())
