"""A room with everything a door must serve: reads, writes, destruction, errors, streams, long work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from att.catalogue import Call, Chunks, Effect, Query, Room, Stream
from att.problems import BadCursor, Conflict, NotFound


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
