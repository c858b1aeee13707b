"""The MCP door of the daemon: `/mcp` and what tells of it, made from the catalogue, behind the same guard as HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from att.access import Access
from att.bulk import LARGE, aside
from att.catalogue import Bound
from att.config import Settings
from att.event.log import EventLog
from att.http.app import DRAINS
from att.http.bodies import body_of
from att.http.guard import Guard
from att.http.heavy import beside_texts
from att.http.routes import COUNT, Audit
from att.mcp.chosen import rooms_of
from att.mcp.doorkeeper import Doorkeeper, metadata, unauthorized
from att.mcp.mount import McpSettings, Mounted, add_routes
from att.mcp.names import Spelling
from att.mcp.offer import METADATA, PATH, Offer
from att.mcp.tools import Caller, Counter
from att.metrics import Counted, Metrics
from att.problems import Unauthorized, Unavailable

if TYPE_CHECKING:
    from att.mcp.server import AttServer

MOST = 4 << 20
"""Bytes of a message. The SDK reads it on the loop; no model writes as much, and large files have their way over HTTP."""
LISTEN = "subscriptions/listen"  # is answered for ever


def session_settings(settings: Settings) -> McpSettings:
    """How the daemon keeps its MCP sessions. `Host` and `Origin` are checked before, at the edge of the application."""
    return McpSettings(body_limit=min(MOST, settings.body_limit), json_answers=settings.mcp_json)


class Door:
    """The server, loaded when the first client comes."""

    def __init__(
        self,
        bound: Mapping[str, Bound],
        access: Access,
        settings: Settings,
        offer: Offer,
        events: EventLog,
        metrics: Metrics,
        audit: Audit | None = None,
    ) -> None:
        self._settings = settings
        self._offer = offer
        self._events = events
        self._keeper = Doorkeeper(Guard(access, settings), rooms_of(bound))
        self._caller = Caller(bound, Counter(metrics, audit))
        self._count = Counted(metrics, "mcp")
        self._server: AttServer | None = None
        self._until = 0.0
        self.mounted = Mounted(
            self._load,
            session_settings(settings),
            self._keeper.admit,
            self._keeper.still,
            _taken,
            self._hears,
        )
        self._figures(metrics)

    def _figures(self, metrics: Metrics) -> None:
        mounted = self.mounted
        metrics.gauge("att_mcp_sessions", "Sessions of MCP clients.", lambda: mounted.sessions)
        metrics.gauge("att_mcp_streams", "Requests of MCP clients that go on.", lambda: mounted.streams)
        metrics.gauge("att_mcp_tasks", "Tasks that watch what MCP clients listen to.", lambda: self._tasks)

    @property
    def _tasks(self) -> int:
        return self._server.notifier.working if self._server is not None else 0

    def _hears(self, session: str, can: bool) -> None:
        if self._server is not None:
            self._server.notifier.hears(session, can)

    def _load(self) -> Any:
        from att.mcp.server import AttServer

        spelling = Spelling(self._settings.mcp_tool_names)
        self._server = AttServer(
            self._offer.surface, self._caller, self._events, spelling, self._offer.version
        )
        return self._server

    async def answer(self, request: web.Request) -> web.StreamResponse:
        request[COUNT] = self._count
        if self.mounted.draining and request.headers.get("Mcp-Method") == LISTEN:
            raise Unavailable("The daemon is stopping.")
        try:
            return await self.mounted.answer(request)
        except Unauthorized as problem:
            return unauthorized(problem, request)

    async def shut(self, _: web.Application) -> None:
        """To be called when the application shuts down: what was begun may finish, as long as requests may."""
        self._until = asyncio.get_running_loop().time() + self._settings.finish
        await self.mounted.drain()

    async def close(self, _: web.Application) -> None:
        await self._caller.close(max(0.0, self._until - asyncio.get_running_loop().time()))
        if self._server is not None:
            await self._server.notifier.close()
        await self.mounted.close()


async def _taken(request: web.Request) -> bytes | None:
    """A body that is large, or may be; refused when it holds too much that is read on the loop."""
    length = request.content_length
    if request.method != "POST" or (length is not None and length <= LARGE):
        return None
    body = await body_of(request, min(MOST, request.client_max_size))
    if len(body) > LARGE:
        await aside(beside_texts, body)
    return body


def open_door(app: web.Application, door: Door) -> None:
    """Put the door into an application made by `att.http.app.make_app`."""
    add_routes(app, PATH, door.answer)
    for address in (METADATA, METADATA + PATH):
        app.router.add_get(address, metadata)
    app[DRAINS].append(door.mounted.drain)
    app.on_shutdown.append(door.shut)
    app.on_cleanup.append(door.close)
