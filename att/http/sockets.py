"""The WebSocket form of a stream: each line of its NDJSON is a text message.

Everything that can go wrong is answered as a problem before the upgrade. After it the client has nothing to say; what
it sends is read only to notice pings and the end. When the daemon stops, the close code is 1012 (service restart), and
the client goes on from the id of the last message (`after`, or `Last-Event-ID`). When its token is revoked or ends, it is 1008.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from contextlib import suppress

import structlog
from aiohttp import WSCloseCode, web

from att.catalogue import Bound, Call, Chunks
from att.http.answering import plain, problem_bytes
from att.http.asking import Asking
from att.http.errors import UpgradeRequired
from att.http.guard import permit
from att.http.routes import REQUEST_ID, Doorway
from att.http.streams import NDJSON, End, Live, hold
from att.problems import Problem

_CODES = {End.DRAIN: WSCloseCode.SERVICE_RESTART, End.REFUSED: WSCloseCode.POLICY_VIOLATION}
_LONGEST = 4096  # bytes of a message from the client, none of which is used

log = structlog.get_logger("att.http")


class Socket:
    """Answers one address with the NDJSON stream of an operation."""

    def __init__(self, bound: Bound, doorway: Doorway, heartbeat: float) -> None:
        self._bound = bound
        self._door = doorway
        self._heartbeat = heartbeat
        self._asking = Asking(bound.operation)
        self._stream = next(s for s in bound.operation.streams if s.media_type == NDJSON)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        upgrade = headers.get("Upgrade", "").lower() == "websocket"
        caller = self._door.guard.caller(
            headers, request.cookies, request.method, time.time(), upgrade=upgrade
        )
        permit(caller, self._bound.operation)
        call = Call(
            request[REQUEST_ID], caller.actor, caller.scopes, "websocket", headers.get("Last-Event-ID")
        )
        ask = self._asking.read(request.match_info, request.query, request.rel_url.raw_query_string, b"")
        chunks = await self._bound.open(self._stream, ask, call)
        socket = web.WebSocketResponse(heartbeat=self._heartbeat, max_msg_size=_LONGEST, compress=False)
        if not upgrade or not socket.can_prepare(request).ok:
            await _close(chunks)
            raise UpgradeRequired("This is not a valid WebSocket handshake.")
        try:
            live = self._door.streams.add()
        except Problem:
            await _close(chunks)
            raise
        code, reason = WSCloseCode.OK, b""
        tasks: list[asyncio.Task[None]] = []
        try:
            await socket.prepare(request)
            rights = hold(live, lambda: self._door.still(request, self._bound.operation))
            tasks = [asyncio.create_task(_read_until_closed(socket, live)), asyncio.create_task(rights)]
            async for chunk in chunks:
                for line in chunk.splitlines():
                    await socket.send_str(line.decode())
        except asyncio.CancelledError:
            if live.ended is None:
                raise
            live.task.uncancel()
            code = _CODES.get(live.ended, WSCloseCode.OK)
        except Problem as problem:
            body = problem_bytes(problem, instance=request.path, request_id=call.request_id)
            await socket.send_str(f'{{"problem": {body.decode()}}}')
            code = WSCloseCode.INTERNAL_ERROR
        except ConnectionError:
            pass
        except Exception:
            told = traceback.format_exc()
            log.error("socket_failed", path=plain(request.path), request_id=call.request_id, traceback=told)
            code, reason = WSCloseCode.INTERNAL_ERROR, b"internal_error"
        finally:
            self._door.streams.remove(live)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await _close(chunks)
        with suppress(ConnectionError):
            await socket.close(code=code, message=reason)
        return socket


async def _read_until_closed(socket: web.WebSocketResponse, live: Live) -> None:
    """Take what the client sends until it is gone."""
    async for _ in socket:
        pass
    live.end(End.GONE)


async def _close(chunks: Chunks) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()
