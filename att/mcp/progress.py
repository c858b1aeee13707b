"""Telling an agent that waits how far the work is.

An operation that begins long work and would wait for its end names the operation that tells how it goes on. So the work is begun
without waiting, that operation's stream is followed, each of its lines becomes a notification, and at the end its answer
is the tool's. Any other call that takes long tells the seconds, so that clients see that it lives.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from att.catalogue import Bound, Call, Stream
from att.http.streams import NDJSON

T = TypeVar("T")
Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""How far (grows with every word), of how much, and what is being done."""

TICK = 1.0  # seconds between two words about a call of which no more is known


@dataclass(frozen=True, slots=True)
class Follower:
    """An operation that begins long work, and the one that tells of it."""

    begin: Bound
    tell: Bound
    stream: Stream

    @classmethod
    def of(cls, bound: Bound, others: Mapping[str, Bound]) -> Follower | None:
        """None for an operation that does not wait for what it begins, or of which no stream tells."""
        operation = bound.operation
        tell = others.get(operation.progress)
        if tell is None or "wait" not in operation.input.model_fields:
            return None
        if operation.output is None or tell.operation.output is not operation.output:
            return None
        stream = next((one for one in tell.operation.streams if one.media_type == NDJSON), None)
        return None if stream is None else cls(bound, tell, stream)

    def waits(self, ask: BaseModel) -> bool:
        wait = getattr(ask, "wait", 0)
        return isinstance(wait, int | float) and wait > 0

    def question(self, ask: BaseModel, begun: BaseModel) -> BaseModel:
        """What is asked about the work that was begun: its fields are found in the answer or in what was asked."""
        model = self.tell.operation.input
        given = {}
        for name in self.tell.operation.path_fields:
            given[name] = getattr(begun, name, None) or getattr(ask, name)
        return model.model_validate(given)


async def followed(follower: Follower, ask: BaseModel, call: Call, report: Report) -> BaseModel:
    """Begin, and follow until the end or as long as was asked for; how the work is then."""
    begun = await follower.begin.run(ask.model_copy(update={"wait": 0}), call)
    question = follower.question(ask, begun)
    with suppress(TimeoutError):
        async with asyncio.timeout(float(getattr(ask, "wait", 0))):
            await _tell(follower, question, call, report)
    result = await follower.tell.run(question, call)
    if not isinstance(result, BaseModel):
        raise TypeError(f"{follower.tell.operation.name} answers with nothing")
    return result


async def _tell(follower: Follower, question: BaseModel, call: Call, report: Report) -> None:
    chunks = await follower.tell.open(follower.stream, question, call)
    rest, way = b"", Way()
    try:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    await report(*way.on(json.loads(line)))
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


class Way:
    """How far the work has come, by the lines that its stream tells: a phase, the share of it that is done, and words.

    It must grow with every word. How many phases there will be is not known, so each counts for one, and no whole is told.
    """

    def __init__(self) -> None:
        self._phase: object = None
        self._before = 0.0  # what the phases before count for
        self._far = 0.0

    def on(self, line: Any) -> tuple[float, float | None, str | None]:
        """What to report of one line."""
        told = line if isinstance(line, dict) else {}
        phase, share = told.get("phase"), told.get("progress")
        if phase is not None and phase != self._phase:
            self._phase, self._before = phase, float(math.ceil(self._far))
        now = round(self._before + share, 3) if isinstance(share, int | float) else 0.0
        self._far = now if now > self._far else round(self._far + 0.001, 3)
        words = dict.fromkeys(str(told[key]) for key in ("phase", "line", "state") if told.get(key))
        return self._far, None, ": ".join(words)[:500] or None


async def ticking(work: Coroutine[Any, Any, T], name: str, report: Report, every: float = TICK) -> T:
    """The result of the work; while it lasts, a word every few seconds."""
    task = asyncio.ensure_future(work)
    seconds = 0.0
    try:
        while not (await asyncio.wait([task], timeout=every))[0]:
            seconds += every
            await report(seconds, None, f"{name}: {seconds:g} s")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
