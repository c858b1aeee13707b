"""The server below the application: what aiohttp leaves to its users, once.

Bytes that are no valid HTTP are answered in our error shape too, and a connection tells at once when its client is gone,
so that a quiet stream need not wait for its next sign of life to find out. A request in work is not cancelled when its
client goes away: what was begun is finished. At the end, a connection that was taken and not yet asked anything is heard
out for a moment: asyncio and aiohttp would close it unread, and its client could not know whether that was done which it
asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from att.config import Settings
from att.http.answering import from_parser, problem_response, request_id

HEARD_OUT, LOOK, TURNS = 0.1, 0.005, 4


class Connection(RequestHandler):
    """One connection of a client."""

    _gone: Callable[[], None] | None = None
    unheard = True

    def data_received(self, data: bytes) -> None:
        self.unheard = False
        super().data_received(data)

    def when_gone(self, call: Callable[[], None]) -> None:
        """Call this when the connection is lost; one at a time, the latest holds."""
        self._gone = call

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        call, self._gone = self._gone, None
        if call is not None:
            call()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        given = request_id(request.headers.get("X-Request-Id"))
        response = problem_response(from_parser(status, message), instance="", request_id=given)
        response.headers.update({"X-Request-Id": given, "Server": "att"})
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """`web.AppRunner` with our connections."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server  # aiohttp has no other place to choose the connection's class
        return server

    async def stop_taking(self) -> None:
        """Take no new connections; whoever shares the listening socket may. In two steps, since asyncio drops whom it has
        accepted and not yet made a connection of when its server is closed."""
        loop = asyncio.get_running_loop()
        for site in self.sites:
            server = getattr(site, "_server", None)  # aiohttp does not show it
            for listener in server.sockets if server is not None else ():
                loop.remove_reader(listener.fileno())
        for _ in range(TURNS):
            await asyncio.sleep(0)
        for site in list(self.sites):
            await site.stop()

    async def hear_out(self, patience: float = HEARD_OUT) -> None:
        """Returns when every connection that was taken has been asked something, and that has begun; or after `patience`.

        To be called once no new ones are taken, before `cleanup`.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + patience
        for look in count():  # in a loop that was busy for longer than the patience too
            await asyncio.sleep(LOOK)
            if not self._unheard() or (look > TURNS and clock() > until):
                break
        for _ in range(TURNS):  # of the event loop, in which that begins which was heard last
            await asyncio.sleep(0)

    def _unheard(self) -> bool:
        connections = self.server.connections if self.server is not None else []
        return any(isinstance(one, Connection) and one.unheard for one in connections)


def make_runner(app: web.Application, settings: Settings) -> Runner:
    """The runner to serve `app` with; add sites to it."""
    return Runner(
        app,
        handle_signals=False,
        access_log=None,
        keepalive_timeout=75,
        shutdown_timeout=settings.finish
        / 2,  # aiohttp waits twice for as long: before and after it closes the input
        handler_cancellation=False,
    )
