"""A small house to knock at: one room with everything a door must serve, on a real socket of this machine.

The server runs in a thread with a loop of its own, so that tests can use plain blocking clients.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from att.access import Access, Grant
from att.catalogue import Call, Catalogue, Chunks, Effect, Query, Room, Scope, Stream
from att.config import Settings
from att.health.operations import room as health_room
from att.health.vitals import Vitals
from att.http.app import STREAMS, make_app
from att.http.routes import Audited
from att.http.server import make_runner
from att.metrics import Metrics
from att.problems import BadCursor, Conflict, NotFound

TOKEN = "att_test-token-of-the-owner"
READER = "att_test-token-of-a-reader"


class ThingNotFound(NotFound):
    code, title = "thing_not_found", "There is no such thing"


class ThingExists(Conflict):
    code, title = "thing_exists", "There is such a thing already"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Part(Ask):
    name: str
    weight: float = 1.0


class CreateThing(Ask):
    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9._-]+$", examples=["lamp"])]
    size: Annotated[int, Field(ge=0, le=1000, description="How large it is.")] = 1
    price: float | None = None
    colour: Colour = Colour.RED
    tags: list[str] = []
    parts: list[Part] = []
    extra: dict[str, Any] = {}
    loud: bool = False
    folder: Path | None = None
    dry_run: Annotated[bool, Query, Field(description="Only look.")] = False

    @model_validator(mode="after")
    def _not_both(self) -> CreateThing:
        if self.loud and self.size == 0:
            raise ValueError("what has no size cannot be loud")
        return self


class Thing(BaseModel):
    name: str
    size: int
    price: float | None
    colour: Colour
    tags: list[str]
    parts: list[Part]
    extra: dict[str, Any]
    loud: bool
    folder: str | None


class ListThings(Ask):
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    colour: Colour | None = None
    tag: list[str] = []
    heavier: float | None = None
    since: AwareDatetime | None = None


class ThingPage(BaseModel):
    things: list[Thing]
    next_cursor: str | None


class OneThing(Ask):
    thing_id: Annotated[str, Field(min_length=1, max_length=40)]


class Follow(OneThing):
    cursor: Annotated[str | None, Field(max_length=20)] = None
    speed: Literal["slow", "fast"] = "fast"


class Line(BaseModel):
    cursor: str
    text: str


class LinePage(BaseModel):
    lines: list[Line]
    next_cursor: str


@dataclass
class Things:
    """What the room works with: things, and one growing list of lines whose positions never change."""

    kept: dict[str, Thing] = field(default_factory=dict)
    lines: list[bytes] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    holding: int = 0
    finished: int = 0
    closed: int = 0
    flood: bool = False
    pulled: int = 0
    seen: list[Call] = field(default_factory=list)

    def get(self, name: str) -> Thing:
        if name not in self.kept:
            raise ThingNotFound(f"There is no thing called {name!r}.")
        return self.kept[name]

    def grow(self, *lines: str) -> None:
        self.lines += [line.encode() for line in lines]
        self.grown.set()
        self.grown = asyncio.Event()

    async def follow(self, start: int) -> AsyncIterator[tuple[int, bytes]]:
        at = start
        try:
            while True:
                self.pulled += 1
                if self.flood:
                    yield at, b"x" * 60_000
                    at += 1
                    continue
                grown = self.grown
                while at < len(self.lines):
                    at += 1
                    yield at, self.lines[at - 1]
                await grown.wait()
        finally:
            self.closed += 1


room = Room("thing")


def start_of(ask: Follow, call: Call) -> int:
    given = call.last_event_id or ask.cursor or "0"
    if not given.isdigit():
        raise BadCursor(f"{given[:20]!r} is no cursor.")
    return int(given)


async def as_sse(ask: Follow, call: Call, things: Things) -> Chunks:
    things.get(ask.thing_id)
    start = start_of(ask, call)

    async def pieces() -> AsyncIterator[bytes]:
        async for at, text in things.follow(start):
            yield b"id: %d\ndata: %s\n\n" % (at, text)

    return pieces()


async def as_ndjson(ask: Follow, call: Call, things: Things) -> Chunks:
    things.get(ask.thing_id)
    start = start_of(ask, call)

    async def pieces() -> AsyncIterator[bytes]:
        async for at, text in things.follow(start):
            if text == b"boom":
                raise RuntimeError("the inside of the house")
            if text == b"conflict":
                raise ThingExists("The stream found a thing.")
            yield json.dumps({"cursor": str(at), "text": text.decode()}).encode() + b"\n"

    return pieces()


async def as_text(ask: Follow, call: Call, things: Things) -> Chunks:
    things.get(ask.thing_id)

    async def pieces() -> AsyncIterator[bytes]:
        async for _, text in things.follow(start_of(ask, call)):
            yield text + b"\n"

    return pieces()


@room.operation("POST", "/things", effect=Effect.WRITE, status=201, errors=(ThingExists,))
async def create(ask: CreateThing, call: Call, things: Things) -> Thing:
    """Make a thing."""
    things.seen.append(call)
    if ask.name in things.kept:
        raise ThingExists(f"There is a thing called {ask.name} already.")
    told = ask.model_dump(exclude={"dry_run", "folder"})
    thing = Thing(**told, folder=str(ask.folder) if ask.folder else None)
    if not ask.dry_run:
        things.kept[ask.name] = thing
    return thing


@room.operation("GET", "/things", effect=Effect.READ, name="thing.list")
async def list_things(ask: ListThings, things: Things) -> ThingPage:
    """List the things."""
    found = [
        thing
        for thing in things.kept.values()
        if (ask.colour is None or thing.colour == ask.colour)
        and set(ask.tag) <= set(thing.tags)
        and (ask.heavier is None or (thing.price or 0) > ask.heavier)
    ]
    return ThingPage(things=found[: ask.limit], next_cursor=None)


@room.operation(
    "GET", "/things/{thing_id}", effect=Effect.READ, errors=(ThingNotFound,), aliases=("thing.show",)
)
async def get(ask: OneThing, things: Things) -> Thing:
    """Show a thing."""
    return things.get(ask.thing_id)


@room.operation(
    "DELETE", "/things/{thing_id}", effect=Effect.DESTRUCTIVE, errors=(ThingNotFound,), status=204
)
async def delete(ask: OneThing, things: Things) -> None:
    """Take a thing away."""
    things.get(ask.thing_id)
    del things.kept[ask.thing_id]


@room.operation("POST", "/things/{thing_id}/crash", effect=Effect.WRITE)
async def crash(ask: OneThing, things: Things) -> Thing:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError("the inside of the house")


async def work_progress(ask: OneThing, call: Call, things: Things) -> Chunks:
    name = things.get(ask.thing_id).name

    async def pieces() -> AsyncIterator[bytes]:
        for step in range(3):
            told = {"type": "progress", "line": f"step {step}", "phase": "build", "progress": step / 3}
            yield json.dumps(told).encode() + b"\n"
        error = "it broke" if name == "broken" else None
        yield json.dumps({"type": "done", "error": error}).encode() + b"\n"

    return pieces()


@room.operation("POST", "/things/{thing_id}/work", effect=Effect.WRITE, status=202, name="thing.work.begin")
async def work(ask: OneThing, things: Things) -> Thing:
    """Begin a long work."""
    return things.get(ask.thing_id)


@room.operation(
    "GET",
    "/things/{thing_id}/work",
    effect=Effect.READ,
    streams=(Stream("application/x-ndjson", work_progress),),
    name="thing.work.get",
)
async def work_state(ask: OneThing, things: Things) -> Thing:
    """How far the work is."""
    return things.get(ask.thing_id)


@room.operation("POST", "/things/{thing_id}/hold", effect=Effect.WRITE)
async def hold(ask: OneThing, things: Things) -> Thing:
    """Take as long as it takes."""
    things.holding += 1
    await things.hold.wait()
    things.finished += 1
    return things.get(ask.thing_id)


@room.operation(
    "GET",
    "/things/{thing_id}/lines",
    effect=Effect.READ,
    errors=(ThingNotFound, BadCursor),
    streams=(
        Stream("text/event-stream", as_sse),
        Stream("application/x-ndjson", as_ndjson),
        Stream("text/plain", as_text),
    ),
)
async def lines(ask: Follow, call: Call, things: Things) -> LinePage:
    """Read the lines, or follow them."""
    things.get(ask.thing_id)
    start = start_of(ask, call)
    found = [Line(cursor=str(i + 1), text=t.decode()) for i, t in enumerate(things.lines) if i >= start]
    return LinePage(lines=found, next_cursor=str(len(things.lines)))


@room.operation(
    "GET",
    "/things/{thing_id}/feed",
    effect=Effect.READ,
    errors=(ThingNotFound, BadCursor),
    streams=(Stream("application/x-ndjson", as_ndjson),),
)
async def feed(ask: Follow, call: Call, things: Things) -> None:
    """Follow the lines; there is no page of them here."""


ROOMS = (room, health_room)


class Served:
    """The house, open. `base` is the folder of its API."""

    def __init__(self, home: Path, port: int, things: Things | None = None, **settings: Any) -> None:
        self.settings = Settings(home=home, listen=f"127.0.0.1:{port}", **settings)
        self.audited: list[Audited] = []
        self.vitals = Vitals("1.2.3", "r7")
        self.loop = asyncio.new_event_loop()
        self.metrics = Metrics("1.2.3", "r7")
        self.things = things or Things()
        self.port = 0
        self._thread = threading.Thread(target=self.loop.run_forever, name="house")
        self._thread.start()
        self.run(self._open())

    async def _open(self) -> None:
        self.things.grown = asyncio.Event()  # belongs to the loop of one life
        access = Access(
            [Grant("local", TOKEN), Grant("reader", READER, frozenset({Scope.READ}))],
        )
        bound = Catalogue(ROOMS).bind({Things: self.things, Vitals: self.vitals})
        page = self.settings.home / "page.html"
        self.app = make_app(
            bound,
            access,
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
def served(home: Path, port: int = 0, things: Things | None = None, **settings: Any) -> Iterator[Served]:
    house = Served(home, port, things, **settings)
    try:
        yield house
    finally:
        house.close()
