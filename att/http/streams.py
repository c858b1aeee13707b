"""Answers that go on: sending pieces as they come, for as long as both sides want.

The pieces are pulled, one at a time, and each is sent before the next is asked for; so a slow client holds up only its
own stream, and no memory grows. A stream ends in one of five ways: its source ends; the client goes away (noticed at
once when the server runs under `att.http.app.Runner`, else at the next sign of life); the daemon stops, and every stream
ends after a whole piece, so that its client can go on from its cursor; the client's token is revoked or ends, which is looked
at every few seconds; or the source raises, which is told in the stream itself where the format can tell it.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from enum import Enum

import structlog
from aiohttp import web

from att.catalogue import Chunks
from att.http.answering import plain, problem_bytes
from att.metrics import Metrics
from att.problems import Problem, Unavailable

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
TEXT = "text/plain"
FORMATS = {"json": "application/json", "sse": SSE, "ndjson": NDJSON, "text": TEXT}
_SLICE = 64 * 1024  # bytes handed to the transport at once: what it cannot send it copies about
_FAREWELL = 2.0  # seconds that a client gets to take the end of its stream
RIGHTS = 2.0  # seconds between two looks whether who opened a stream may still read it

log = structlog.get_logger("att.http")


class End(Enum):
    """Why a stream was ended from outside."""

    GONE = "gone"
    DRAIN = "drain"
    REFUSED = "refused"


class Live:
    """One stream that is being sent by the current task."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is sent by a task")
        self.task = task
        self.ended: End | None = None
        self.over = False
        self.sending = False  # a piece has begun and not ended: nothing may come between

    def end(self, why: End) -> None:
        """Stop waiting for the next piece; what was begun is sent to its end."""
        if self.ended is None and not self.over:
            self.ended = why
            self.task.cancel()


class Streams:
    """All streams of a server, to end them when it stops."""

    def __init__(self, metrics: Metrics, heartbeat: float) -> None:
        self.heartbeat = heartbeat
        self.draining = False
        self._metrics = metrics
        self._live: set[Live] = set()

    def add(self) -> Live:
        """Count the current task as a stream. `Unavailable` when the server is about to stop."""
        if self.draining:
            raise Unavailable("The daemon is stopping.")
        live = Live()
        self._live.add(live)
        self._metrics.streams.inc()
        return live

    def remove(self, live: Live) -> None:
        live.over = True
        if live in self._live:
            self._live.remove(live)
            self._metrics.streams.dec()

    def drain(self) -> None:
        """End every stream after a whole piece, and let no new one begin."""
        self.draining = True
        for live in list(self._live):
            live.end(End.DRAIN)

    def __len__(self) -> int:
        return len(self._live)


async def send(
    request: web.Request,
    chunks: Chunks,
    media_type: str,
    streams: Streams,
    request_id: str,
    *,
    still: Callable[[], bool],
    file_name: str | None = None,
) -> web.StreamResponse:
    """Answer with the pieces until one of the two sides ends it. A file that is not whole is never ended properly.

    `still`: whether who asked may still read.
    """
    response = web.StreamResponse(headers=_headers(media_type))
    if file_name is not None:
        response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    if request.method == "HEAD":
        await _close(chunks)
        await response.prepare(request)
        return response
    try:
        live = streams.add()
    except Unavailable:
        await _close(chunks)
        raise
    tasks: list[asyncio.Task[None]] = []
    try:
        watch = getattr(request.protocol, "when_gone", None)
        if watch is not None:
            watch(lambda: live.end(End.GONE))
        await response.prepare(request)
        beats = _beat(request, response, live, media_type, streams.heartbeat)
        tasks = [asyncio.create_task(beats), asyncio.create_task(hold(live, still))]
        whole = await _pump(response, chunks, media_type, request, request_id, live)
        if file_name is not None and not whole:
            live.ended = End.GONE
    except asyncio.CancelledError:
        if live.ended is None:
            raise
        live.task.uncancel()
        if file_name is not None:
            live.ended = End.GONE
    except ConnectionError:
        live.ended = live.ended or End.GONE
    finally:
        streams.remove(live)
        for task in tasks:
            task.cancel()
        await _close(chunks)
    await _farewell(request, response, live)
    return response


def _headers(media_type: str) -> dict[str, str]:
    kind = f"{media_type}; charset=utf-8" if media_type == TEXT else media_type
    return {
        "Content-Type": kind,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Accel-Buffering": "no",
    }


async def _pump(
    response: web.StreamResponse,
    chunks: Chunks,
    media_type: str,
    request: web.Request,
    request_id: str,
    live: Live,
) -> bool:
    """Whether the source came to its end."""
    try:
        async for chunk in chunks:
            live.sending = True
            for begin in range(0, len(chunk), _SLICE):
                await response.write(memoryview(chunk)[begin : begin + _SLICE])
            live.sending = False
    except Problem as problem:
        told = problem_bytes(problem, instance=request.path, request_id=request_id)
    except ConnectionError:
        raise
    except Exception:
        trace = traceback.format_exc()
        log.error("stream_failed", path=plain(request.path), request_id=request_id, traceback=trace)
        unknown = Problem("The stream could not go on.")
        told = problem_bytes(unknown, instance=request.path, request_id=request_id)
    else:
        return True
    if media_type == SSE:
        await response.write(b"event: problem\ndata: " + told + b"\n\n")
    elif media_type == NDJSON:
        await response.write(json.dumps({"problem": json.loads(told)}).encode() + b"\n")
    return False


async def hold(live: Live, still: Callable[[], bool]) -> None:
    """End the stream once who opened it may not read any more."""
    while still():  # noqa: ASYNC110  (expiry is a matter of time, and nobody else tells)
        await asyncio.sleep(RIGHTS)
    live.end(End.REFUSED)


async def _beat(
    request: web.Request, response: web.StreamResponse, live: Live, media_type: str, every: float
) -> None:
    """Signs of life on a quiet stream, which also find out that the client is gone."""
    sent = 0
    while True:
        await asyncio.sleep(every)
        transport = request.transport
        if transport is None or transport.is_closing():
            live.end(End.GONE)
            return
        writer = request.writer
        if media_type == SSE and writer.output_size == sent and not live.sending:
            try:
                await response.write(b": \n\n")
            except ConnectionError:
                live.end(End.GONE)
                return
        sent = writer.output_size


async def _farewell(request: web.Request, response: web.StreamResponse, live: Live) -> None:
    """Close the answer properly; a client that does not take it is cut off."""
    if live.ended is not End.GONE:
        response.force_close()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await response.write_eof()
            return
    if request.transport is not None:
        request.transport.abort()


async def _close(chunks: AsyncIterator[bytes]) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()
