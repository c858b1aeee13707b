"""One HTTP request to the daemon's `/mcp`, which another thread may drop: what the stdio bridge sends its messages by.

Each request has a connection of its own, so it is always known whether one was sent: `NotSent` means that the daemon has not
got it, `Broken` that it has, and that the answer did not come whole.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

PATH = "/mcp"
_CONNECT = 5.0  # seconds
_ACCEPT = "application/json, text/event-stream"


class Where(Protocol):
    """Whom to ask, and as whom."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def tls(self) -> bool: ...
    @property
    def token(self) -> str | None: ...
    @property
    def url(self) -> str: ...


class NotSent(Exception):
    """Nobody took the request: it may be sent again."""


class Broken(Exception):
    """The request was sent, and the connection ended before the answer did."""


class Hold:
    """The connection of a request that is under way, for the one who may want to drop it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.dropped = threading.Event()

    def take(self, connected: socket.socket | None) -> None:
        with self._lock:
            self._socket = connected
            if connected is not None and self.dropped.is_set():
                _end(connected)

    def drop(self) -> None:
        """End the connection; also one that is yet to be made."""
        with self._lock:
            self.dropped.set()
            if self._socket is not None:
                _end(self._socket)


def _end(connected: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connected.shutdown(socket.SHUT_RDWR)


class Reply(NamedTuple):
    """An answer whose head has come; the body is read as it comes."""

    status: int
    kind: str
    session: str | None
    readline: Callable[[int], bytes]
    read: Callable[[], bytes]


class Wire:
    """The way to the daemon; `locate` tells where it is and what the token is, now; `query`: what stands behind the address."""

    def __init__(self, locate: Callable[[], Where], query: str = "") -> None:
        self._path = PATH + query
        self._locate = locate
        self.where = locate()

    def look_again(self) -> bool:
        """Whether the daemon has another address or another token by now."""
        before, self.where = self.where, self._locate()
        return before != self.where

    @contextmanager
    def ask(
        self,
        method: str,
        body: bytes | None,
        headers: Mapping[str, str],
        hold: Hold,
        timeout: float | None = None,
    ) -> Iterator[Reply]:
        """Send a request and give its answer; NotSent or Broken when there is none, or when it ends too early."""
        where = self.where
        kind = http.client.HTTPSConnection if where.tls else http.client.HTTPConnection
        connection = kind(where.host, where.port, timeout=_CONNECT)
        given = {"Accept": _ACCEPT, "Content-Type": "application/json", "Connection": "close", **headers}
        if where.token:
            given["Authorization"] = f"Bearer {where.token}"
        try:
            try:
                connection.connect()
                connection.sock.settimeout(timeout)
                hold.take(connection.sock)
                connection.request(method, self._path, body, given)
            except (OSError, http.client.HTTPException) as error:
                raise NotSent(_reason(error)) from None
            try:
                with connection.getresponse() as answer:
                    kind_of_body = answer.getheader("Content-Type", "").partition(";")[0].strip().lower()
                    session = answer.getheader("Mcp-Session-Id")
                    yield Reply(answer.status, kind_of_body, session, answer.readline, answer.read)
            except (OSError, http.client.HTTPException) as error:
                raise Broken(_reason(error)) from None
        finally:
            hold.take(None)
            connection.close()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
