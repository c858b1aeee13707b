"""One handler for each operation: let in, read the input, run, answer.

All that can be known beforehand is looked up when the handler is made.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from att.bulk import LARGE, aside
from att.catalogue import Bound, Call, Effect, Operation, Stream, headers_of
from att.http import streams as live
from att.http.answering import model_response
from att.http.asking import Asking, invalid
from att.http.bodies import body_of
from att.http.errors import UnsupportedMediaType
from att.http.guard import Guard, permit
from att.http.heavy import is_large_answer
from att.metrics import Counted, Metrics
from att.problems import Problem

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
COUNT: web.RequestKey[Counted] = web.RequestKey("count", Counted)


@dataclass(frozen=True, slots=True)
class Audited:
    """What was asked for and how it ended, of an operation that is no read. Carries no input, so no secret."""

    operation: str
    effect: Effect
    actor: str
    request_id: str
    door: str
    project_id: str | None
    outcome: str  # "ok" or the code of the problem
    seconds: float


Audit = Callable[[Audited], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Doorway:
    """What all handlers of one server share."""

    guard: Guard
    streams: live.Streams
    metrics: Metrics
    body_limit: int
    audit: Audit | None = None

    def still(self, request: web.Request, operation: Operation) -> bool:
        """Whether who sent the request may still use the operation."""
        return self.guard.still(
            request.headers, request.cookies, request.method, time.time(), operation.scope
        )


class Route:
    """Answers one operation over HTTP."""

    def __init__(self, bound: Bound, doorway: Doorway) -> None:
        operation = bound.operation
        self._bound = bound
        self._door = doorway
        self._count = Counted(doorway.metrics, operation.name)
        self._audited = doorway.audit if operation.effect is not Effect.READ else None
        self._body = operation.method not in ("GET", "HEAD")

    # Made for the first request: a start would pay for that of every operation.

    @cached_property
    def _asking(self) -> Asking:
        return Asking(self._bound.operation)

    @cached_property
    def _choice(self) -> Choice:
        return Choice(self._bound.operation)

    @cached_property
    def _told(self) -> tuple[tuple[str, str], ...]:
        output = self._bound.operation.output
        return tuple(headers_of(output).items()) if output is not None else ()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        request[COUNT] = self._count
        operation = self._bound.operation
        headers = request.headers
        cookies = request.cookies if "Cookie" in headers else {}
        caller = self._door.guard.caller(headers, cookies, request.method, time.time())
        permit(caller, operation)
        call = Call(
            request_id=request[REQUEST_ID],
            actor=caller.actor,
            scopes=caller.scopes,
            last_event_id=headers.get("Last-Event-ID"),
        )
        if self._audited is None:
            return await self._answer(request, call)
        began = time.monotonic()
        outcome = "internal_error"
        try:
            response = await self._answer(request, call)
            outcome = "ok"
        except Problem as problem:
            outcome = problem.code
            raise
        finally:
            told = self._audited(
                Audited(
                    operation.name,
                    operation.effect,
                    call.actor,
                    call.request_id,
                    call.door,
                    request.match_info.get("project_id"),
                    outcome,
                    time.monotonic() - began,
                )
            )
            if inspect.isawaitable(told):
                await told
        return response

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        operation = self._bound.operation
        query: Any = request.query
        stream, query = self._choice.of(request.headers.get("Accept"), query)
        body = await self._read_body(request)
        given = (request.match_info, query, request.rel_url.raw_query_string, body, request.headers)
        read = self._asking.read
        ask = read(*given) if len(body) <= LARGE else await aside(read, *given)
        del body, given  # the operation may take long
        if stream is not None:
            stream = self._choice.kept(stream, ask)
            chunks = await self._bound.open(stream, ask, call)
            named = (
                f"{request.match_info.get('project_id', 'file')}{stream.suffix}" if stream.suffix else None
            )
            streams = self._door.streams
            return await live.send(
                *(request, chunks, stream.media_type, streams, call.request_id),
                still=lambda: self._door.still(request, operation),
                file_name=named,
            )
        result = await self._bound.run(ask, call)
        told = result if isinstance(result, BaseModel) else None
        if told is not None and is_large_answer(told):
            response = await aside(model_response, told, operation.status)
        else:
            response = model_response(told, operation.status)
        for name, header in self._told:
            response.headers[header] = f'"{getattr(result, name)}"'
        return response

    async def _read_body(self, request: web.Request) -> bytes:
        body = await body_of(request, self._door.body_limit)
        if body and self._asking.takes_body and not _is_json(request):
            kind = request.headers.get("Content-Type")
            raise UnsupportedMediaType(
                f"The body is sent as {kind[:100]!a}, not as JSON." if kind else "The body has no media type."
            )
        return body


class Choice:
    """Which representation of an operation's answer a request asks for."""

    def __init__(self, operation: Operation) -> None:
        self._streams = {stream.media_type: stream for stream in operation.streams}
        self._has_json = operation.output is not None or not operation.streams
        self._kept = {stream.suffix[1:]: stream for stream in operation.streams if stream.suffix}
        self._first = None if self._has_json and not self._kept else operation.streams[0]
        offered = {name: kind for name, kind in live.FORMATS.items() if kind in self._streams}
        if self._has_json:
            offered["json"] = live.FORMATS["json"]
        self._formats = offered if operation.streams and "format" not in operation.input.model_fields else {}

    def kept(self, stream: Stream, ask: BaseModel) -> Stream:
        """Among files of several kinds, the one that the field `format` names."""
        return self._kept.get(str(getattr(ask, "format", "")), stream) if stream.suffix else stream

    def of(self, accept: str | None, query: Any) -> tuple[Stream | None, Any]:
        """The stream, or None for JSON; and the query without what was used here."""
        if self._formats and "format" in query:
            given = query.getall("format")
            if len(given) > 1 or given[0] not in self._formats:
                message = f"Must be one of {', '.join(self._formats)}."
                raise invalid([{"field": "format", "in": "query", "message": message}])
            query = query.copy()
            del query["format"]
            return self._streams.get(self._formats[given[0]]), query
        if not self._streams or accept is None:
            return self._first, query
        best, best_q = self._first, 0.0
        for kind, quality in _accepted(accept):
            if quality > best_q:
                if kind in self._streams:
                    best, best_q = self._streams[kind], quality
                elif kind == live.FORMATS["json"] and self._has_json:
                    best, best_q = None, quality
                elif kind in ("*/*", "application/*", live.FORMATS["json"]):
                    best, best_q = self._first, quality
        return best, query


def _accepted(accept: str) -> list[tuple[str, float]]:
    """The media types of an Accept header with their weights."""
    found = []
    for part in accept.split(",")[:32]:
        kind, _, parameters = part.partition(";")
        quality = 1.0
        for parameter in parameters.split(";"):
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        found.append((kind.strip().lower(), quality))
    return found


def _is_json(request: web.Request) -> bool:
    kind = request.content_type
    return (kind == "application/json" or kind.endswith("+json")) and (
        (request.charset or "utf-8").lower() in ("utf-8", "utf8", "us-ascii")
    )
