"""A small house to knock at: the room of things, on a real socket of this machine.

The server runs in a thread with a loop of its own, so that tests can use plain blocking clients.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from att.access import Access, Grant
from att.catalogue import Catalogue, Room, Scope
from att.config import Settings
from att.health.operations import room as health_room
from att.health.vitals import Vitals
from att.http.app import STREAMS, make_app
from att.http.routes import Audited
from att.http.server import make_runner
from att.metrics import Metrics
from tests.att.http.things import Things, room

TOKEN = "att_test-token-of-the-owner"
READER = "att_test-token-of-a-reader"
ROOMS = (room, health_room)


class Served:
    """The house, open. `base` is the folder of its API."""

    def __init__(
        self,
        home: Path,
        port: int,
        things: Things | None = None,
        rooms: tuple[Room, ...] = (),
        **settings: Any,
    ) -> None:
        self.settings = Settings(home=home, listen=f"127.0.0.1:{port}", **settings)
        self.audited: list[Audited] = []
        self.vitals = Vitals("1.2.3", "r7")
        self.loop = asyncio.new_event_loop()
        self.metrics = Metrics("1.2.3", "r7")
        self.things = things or Things()
        self._rooms = (*ROOMS, *rooms)
        self.port = 0
        self._thread = threading.Thread(target=self.loop.run_forever, name="house")
        self._thread.start()
        self.run(self._open())

    async def _open(self) -> None:
        self.things.grown = asyncio.Event()  # belongs to the loop of one life
        self.access = Access(
            [Grant.of("local", TOKEN), Grant.of("reader", READER, frozenset({Scope.READ}))],
        )
        bound = Catalogue(self._rooms).bind({Things: self.things, Vitals: self.vitals})
        page = self.settings.home / "page.html"
        self.app = make_app(
            bound,
            self.access,
            self.settings,
            metrics=self.metrics,
            audit=self.audited.append,
            sockets={"/things/{thing_id}/ws": "thing.lines"},
            page=page,
            version="1.2.3",
        )
        self.runner = make_runner(self.app, self.settings)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.settings.listen.port, reuse_address=True)
        await site.start()
        self.port = self.runner.addresses[0][1]
        self.vitals.ready()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a plain function in the server's thread."""

        async def there() -> Any:
            return function(*args)

        return self.run(there())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def streams(self) -> int:
        return len(self.app[STREAMS])

    def close(self) -> None:
        if self._thread.is_alive():
            try:
                self.run(self.runner.cleanup())
            finally:
                self.loop.call_soon_threadsafe(self.loop.stop)
                self._thread.join(10)
                self.loop.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; `path` below /api/v1 unless it begins with two slashes."""
        given = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            given["Content-Type"] = "application/json"
        given |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            target = path[1:] if path.startswith("//") else f"/api/v1{path}"
            connection.putrequest(method, target, skip_host="Host" in given, skip_accept_encoding=True)
            if body is not None:
                given.setdefault("Content-Length", str(len(body)))
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are, and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as plug:
            plug.sendall(data)
            found = b""
            while piece := plug.recv(65536):
                found += piece
            return found


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> Any:
        """The body, which must be a problem of our shape."""
        assert self.headers["Content-Type"] == "application/problem+json", (self.status, self.body)
        told = self.json
        assert told["status"] == self.status
        assert {"type", "title", "detail", "instance", "code", "hint"} <= told.keys()
        assert told["request_id"] == self.headers["X-Request-Id"]
        assert told["hint"]
        return told


@contextmanager
def served(
    home: Path, port: int = 0, things: Things | None = None, rooms: tuple[Room, ...] = (), **settings: Any
) -> Iterator[Served]:
    house = Served(home, port, things, rooms, **settings)
    try:
        yield house
    finally:
        house.close()
