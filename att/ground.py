"""What the daemon stands on before any of its parts is there: the home, its lock and name, and the address to listen on,
which is told in the home, so that the command line finds a daemon that was started with another one than the settings say."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import structlog

from att.config import ADDRESS_FILE, Address, BadSettings, Settings
from att.runtime import ports
from supervisor.parent import HomeBusy, take_home

BACKLOG = 1024

log = structlog.get_logger(__name__)


class HomeInUse(BadSettings):
    """Raised with `pid`."""

    code, status, title = "home_in_use", 409, "Another ATT runs in this home"
    hint = (
        "Use the one that runs (`att status`), stop it first, or give another home with --home or ATT_HOME."
    )


class ListenFailed(BadSettings):
    code, status, title = "listen_failed", 409, "The address cannot be listened on"
    hint = "Choose another one with --listen or ATT_LISTEN, or end the program that holds it."


class HomeUnusable(BadSettings):
    code, status, title = "home_unusable", 500, "The folder of all state cannot be used"
    hint = "Check its owner and its rights, or give another home with --home or ATT_HOME."


def prepare_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        next(home.iterdir(), None)
        (home / "projects").mkdir(exist_ok=True)
    except OSError as error:
        raise HomeUnusable(f"{home}: {error.strerror}.", source=str(home), key="home") from None


def take(home: Path) -> Any:
    try:
        return take_home(home)
    except HomeBusy as busy:
        raise HomeInUse(str(busy), source=str(home), key="home", pid=busy.pid) from None
    except OSError as error:
        raise HomeUnusable(f"{home}: {error.strerror}.", source=str(home), key="home") from None


def listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        pid, name, _ = ports.owner(address.port) if error.errno == errno.EADDRINUSE else (None, "", False)
        whose = f" by {name} (pid {pid})" if pid else ""
        told = f"{address}: {error.strerror or error}{whose}."
        raise ListenFailed(told, source="listen", key="listen", pid=pid, process=name) from None


def keeper_id(home: Path) -> str:
    """The same for every life in one home, another for every other home."""
    return hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]


def announce(settings: Settings, version: str) -> None:
    """The daemon answers: where, for the reader of the log and for the commands of this home."""
    log.info("ready", url=settings.url, home=str(settings.home), version=version)
    file, draft = settings.home / ADDRESS_FILE, settings.home / f"{ADDRESS_FILE}.new"
    try:
        draft.write_text(f"{settings.listen}\n")
        draft.replace(file)
    except OSError as error:  # a full disk must not keep us from running
        log.warning("address_not_told", file=str(file), reason=error.strerror)
