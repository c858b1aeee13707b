"""What a release must be able to do before it may be run: load all of its code, and answer for its health.

The wiring (`att.daemon --self-check`) opens every part on a home of its own, which is thrown away, and serves them on a socket
of its own; nothing of the real home is touched and nothing is listened on that somebody else could reach.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import socket
from http.client import HTTPConnection

PACKAGES = ("launcher.protocol", "supervisor", "att")
ELSEWHERE = ("att.templates", "att.runtime.shim", "att.store.migrations")  # loaded by an app, or by Alembic
OPTIONAL = {
    "att.store.postgres": "asyncpg"
}  # module of ours → what its extra brings; without that it is not checked


class Broken(Exception):
    """The check failed, and why."""


def load_everything() -> int:
    """Import every module of ours; how many there are. `Broken` names the one that cannot be loaded."""
    names = list(PACKAGES)
    for package in PACKAGES:
        place = importlib.import_module(package).__path__
        names += [
            found.name for found in pkgutil.walk_packages(place, f"{package}.") if not _left_out(found.name)
        ]
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as fault:
            raise Broken(f"{name} cannot be loaded: {type(fault).__name__}: {fault}") from fault
    return len(names)


def _left_out(name: str) -> bool:
    if name.endswith("__main__") or any(name == one or name.startswith(f"{one}.") for one in ELSEWHERE):
        return True
    return name in OPTIONAL and importlib.util.find_spec(OPTIONAL[name]) is None


def ask_health(path: str, timeout: float = 20.0) -> str:
    """The answer to one request for health on the unix socket at `path`; `Broken` when it is not a good one."""
    connection = _OverUnix(path, timeout)
    try:
        connection.request("GET", "/api/v1/health")
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except OSError as fault:
        raise Broken(f"health does not answer: {fault}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise Broken(f"health answers {answer.status}: {text[:500]}")
    return text


class _OverUnix(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
