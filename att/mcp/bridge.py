"""One ASGI application (HTTP only) behind an aiohttp route, sound for answers that go on for hours.

What aiohttp does not tell, the bridge finds out: once a body is read there is no word when the client goes away, so one
shared timer looks at the connections of all requests that wait for it; ninety quiet streams cost nothing measurable.
`receive` after the body waits, and then says `http.disconnect`: an application that loops on it must never be answered at
once, or it spins the whole daemon. An answer with a length leaves in one write; any other has its headers sent at once.

`drain` ends the answers to GET, which go on for ever, as if their clients had gone; the others finish. An answer whose client
may not have it any more (its token was revoked while it went on) ends in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from aiohttp import web

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

POLL = 0.25  # seconds between two looks at the connections
RIGHTS = 8  # looks at the connections for one at the rights of their clients
_OWN = frozenset({b"connection", b"transfer-encoding", b"date", b"server"})  # aiohttp writes these itself


class NoAnswer(RuntimeError):
    """The application ended without a response: a fault of the program."""


class AsgiBridge:
    """Answers aiohttp requests with an ASGI application."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        poll: float = POLL,
        still: Callable[[web.Request], bool] | None = None,
        taken: Callable[[web.Request], Awaitable[bytes | None]] | None = None,
    ) -> None:
        """`still`: whether the client of a request that is being answered may have that. `taken`: the body of a request
        that is looked at beforehand, or why it is refused; None for one that the application reads by itself."""
        self._app = app
        self._taken = taken
        self._poll = poll
        self._still = still
        self._looks = 0
        self._draining = False
        self._waiting: dict[asyncio.Future[None], web.Request] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many requests are waited with for their clients to go."""
        return len(self._waiting)

    def drain(self) -> None:
        """End what is answered to GET, now and from now on."""
        self._draining = True
        self._look()

    async def answer(
        self, request: web.Request, extra: Mapping[str, Any] | None = None
    ) -> web.StreamResponse:
        """Answer one request. `extra` goes into the application's scope."""
        body = await self._taken(request) if self._taken is not None else None
        exchange = _Exchange(request, self._gone, body)
        del body
        try:
            await self._app(_scope(request, extra or {}), exchange.receive, exchange.send)
        except Exception:
            if exchange.fault is None or exchange.response is not None:
                raise
            raise exchange.fault from None  # it says only that the body did not come
        if exchange.response is None:
            raise NoAnswer("the ASGI application sent no response")
        return exchange.response

    async def _gone(self, request: web.Request) -> None:
        """Returns when the client of the request is gone, or is to be taken for that."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[waiter] = request
        if self._timer is None:
            self._timer = loop.call_later(0 if self._draining else self._poll, self._tick)
        try:
            await waiter
        finally:
            del self._waiting[waiter]

    def _tick(self) -> None:
        self._look()
        again = bool(self._waiting)
        self._timer = asyncio.get_running_loop().call_later(self._poll, self._tick) if again else None

    def _look(self) -> None:
        self._looks += 1
        still = self._still if self._looks % RIGHTS == 0 else None
        for waiter, request in list(self._waiting.items()):
            transport = request.transport
            ended = self._draining and request.method == "GET"
            ended = ended or (still is not None and not still(request))
            if (ended or transport is None or transport.is_closing()) and not waiter.done():
                waiter.set_result(None)


class _Exchange:
    """One request and its answer, in the two words of ASGI."""

    def __init__(
        self, request: web.Request, gone: Callable[[web.Request], Awaitable[None]], taken: bytes | None
    ) -> None:
        self._taken = taken
        self.response: web.StreamResponse | None = None
        self.fault: Exception | None = None  # why the body did not come whole
        self._request = request
        self._gone = gone
        self._body = bytearray()
        self._read = False  # the whole body of the request
        self._start: Message | None = None
        self._whole = False  # the answer has a length, so it leaves in one write
        self._ended = False

    async def receive(self) -> Message:
        try:
            if self._taken is not None:
                body, self._taken, self._read = self._taken, None, True
                return {"type": "http.request", "body": body, "more_body": False}
            if not self._read:
                chunk = await self._request.content.readany()
                self._read = not chunk or self._request.content.at_eof()
                return {"type": "http.request", "body": chunk, "more_body": not self._read}
            if not self._ended:
                await self._gone(self._request)
        except (ConnectionError, web.RequestPayloadError) as fault:
            self._read, self.fault = True, fault
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            self._whole = any(name.lower() == b"content-length" for name, _ in message["headers"])
            if not self._whole:
                self.response = self._made(web.StreamResponse(status=message["status"]), message)
                await self._out(b"", end=False)
        elif self._start is not None and not self._ended:
            self._ended = not message.get("more_body")
            piece = message.get("body") or b""
            if self._whole:
                self._body += piece
                if self._ended:
                    body = bytes(self._body)
                    self.response = self._made(
                        web.Response(status=self._start["status"], body=body), self._start
                    )
            else:
                await self._out(piece, end=self._ended)

    @staticmethod
    def _made(response: web.StreamResponse, start: Message) -> web.StreamResponse:
        length = isinstance(response, web.Response)
        for name, value in start["headers"]:
            if name.lower() not in _OWN and not (length and name.lower() == b"content-length"):
                response.headers.add(name.decode("latin-1"), value.decode("latin-1"))
        return response

    async def _out(self, piece: bytes, *, end: bool) -> None:
        response = self.response
        if response is None:
            return
        try:
            if not response.prepared:
                await response.prepare(self._request)
            if piece:
                await response.write(piece)
            if end:
                await response.write_eof()
        except ConnectionError:
            self._ended = self._ended or end  # the application learns of it from `receive`


def _scope(request: web.Request, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "root_path": "",
        "raw_path": request.raw_path.partition("?")[0].encode(),
        "query_string": request.rel_url.raw_query_string.encode(),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": (request.remote or "", 0),
        "server": None,
        "state": {},
        **extra,
    }
