"""A small room of slow, large and failing work, to see how the MCP door treats it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from att.catalogue import Call, Chunks, Effect, Query, Room, Stream
from att.problems import Conflict, NotFound


class Busy(Conflict):
    code, title = "work_busy", "The work is under way"


class NoWork(NotFound):
    code, title = "work_not_found", "There is no such work"


class Works:
    """What the room works with: a gate that holds what is slow, and notes of what was begun and how it ended."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.news = asyncio.Event()
        self.begun: list[str] = []
        self.done: list[str] = []
        self.cancelled: list[str] = []
        self.calls: list[Call] = []
        self.steps: list[str] = []

    async def hold(self, name: str) -> None:
        self.begun.append(name)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        self.done.append(name)

    def step(self, words: str) -> None:
        self.steps.append(words)
        self.news.set()


class Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="it", max_length=40)


class AskPage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cursor: int = 0
    limit: int = Field(default=1000, ge=1, le=1000)
    size: int = Field(default=1000, ge=1, le=1_000_000)


class AskNamed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    number: Annotated[int, Query] = 0
    tags: Annotated[list[str], Query] = []
    text: str = ""
    deep: dict[str, int] = {}


class AskRun(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    wait: Annotated[float, Query, Field(ge=0, le=60)] = 0


class Told(BaseModel):
    name: str
    actor: str = ""
    door: str = ""


class Echo(BaseModel):
    name: str
    number: int
    tags: list[str]
    text: str
    deep: dict[str, int]


class Page(BaseModel):
    items: list[str]
    next_cursor: int | None


class Run(BaseModel):
    name: str
    state: str


room = Room("work")


@room.operation("GET", "/works/who", effect=Effect.READ)
async def who(ask: Ask, call: Call, works: Works) -> Told:
    """Tell who asks."""
    works.calls.append(call)
    return Told(name=ask.name, actor=call.actor, door=call.door)


@room.operation("GET", "/works/slow", effect=Effect.READ)
async def look(ask: Ask, works: Works) -> Told:
    """Read for a long time."""
    await works.hold(ask.name)
    return Told(name=ask.name)


@room.operation("POST", "/works/slow", effect=Effect.WRITE, errors=(Busy,))
async def change(ask: Ask, works: Works) -> Told:
    """Change something for a long time."""
    if ask.name == "busy":
        raise Busy("It is under way.", by="somebody")
    await works.hold(ask.name)
    return Told(name=ask.name)


@room.operation("DELETE", "/work", effect=Effect.DESTRUCTIVE, idempotent=True)
async def clear(ask: Ask, works: Works) -> None:
    """Forget all."""
    works.begun.clear()


@room.operation("GET", "/works/broken", effect=Effect.READ)
async def fall(ask: Ask, works: Works) -> Told:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError("the secret insides")


@room.operation("GET", "/works/pages", effect=Effect.READ)
async def pages(ask: AskPage, works: Works) -> Page:
    """Many large items."""
    end = ask.cursor + ask.limit
    return Page(items=["x" * ask.size] * ask.limit, next_cursor=end if end < 5000 else None)


@room.operation("PUT", "/works/{name}/echo", effect=Effect.WRITE)
async def echo(ask: AskNamed, works: Works) -> Echo:
    """Answer with what was asked."""
    return Echo(**ask.model_dump())


async def _steps(ask: AskRun, works: Works) -> AsyncIterator[bytes]:
    seen = 0
    while True:
        works.news.clear()
        for words in works.steps[seen:]:
            seen += 1
            told = {"type": "progress", "cursor": f"it-{seen}", "line": words, "phase": "work"}
            yield json.dumps({**told, "progress": seen / 4}).encode() + b"\n"
        if works.gate.is_set() and seen == len(works.steps):
            return
        await works.news.wait()


async def open_steps(ask: AskRun, works: Works) -> Chunks:
    return _steps(ask, works)


@room.operation(
    "POST", "/works/{name}/runs", effect=Effect.WRITE, status=202, progress="work.status", name="work.begin"
)
async def begin(ask: AskRun, works: Works) -> Run:
    """Begin long work."""
    works.begun.append(ask.name)
    return Run(name=ask.name, state="running")


@room.operation(
    "GET",
    "/works/{name}/runs",
    effect=Effect.READ,
    errors=(NoWork,),
    streams=(Stream("application/x-ndjson", open_steps),),
)
async def status(ask: AskRun, works: Works) -> Run:
    """How the work is."""
    if ask.name == "nobody":
        raise NoWork("There is no work of nobody.")
    return Run(name=ask.name, state="succeeded" if works.gate.is_set() else "running")


async def open_lines(ask: Ask, works: Works) -> Chunks:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b'{"number": %d}\n' % number
        if ask.name == "endless":
            await works.gate.wait()

    return lines()


@room.operation(
    "GET", "/works/lines", effect=Effect.READ, streams=(Stream("application/x-ndjson", open_lines),)
)
async def lines(ask: Ask, works: Works) -> None:
    """A stream and nothing else."""


async def open_bytes(ask: Ask, works: Works) -> Chunks:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300 if ask.name == "large" else 3):
            yield b"\x00\xff" * 512

    return pieces()


@room.operation("GET", "/works/bytes", effect=Effect.READ, streams=(Stream("application/gzip", open_bytes),))
async def raw(ask: Ask, works: Works) -> None:
    """An archive."""
