"""The server below the application: what aiohttp leaves to its users, once.

Bytes that are no valid HTTP are answered in our error shape too, and a connection tells at once when its client is gone,
so that a quiet stream need not wait for its next sign of life to find out. A request in work is not cancelled when its
client goes away: what was begun is finished.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from att.config import Settings
from att.http.answering import from_parser, problem_response, request_id


class Connection(RequestHandler):
    """One connection of a client."""

    _gone: Callable[[], None] | None = None

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


def make_runner(app: web.Application, settings: Settings) -> Runner:
    """The runner to serve `app` with; add sites to it."""
    return Runner(
        app,
        handle_signals=False,
        access_log=None,
        keepalive_timeout=75,
        shutdown_timeout=settings.finish,
        handler_cancellation=False,
    )
