"""An MCP server at an address of an aiohttp application: the bridge, the settings of its sessions, and its life.

The SDK is loaded when it is first needed: it costs most of a second and tens of megabytes, which a daemon that no agent
speaks with does not pay. A task of its own enters and leaves the session manager, since its task group must be left by the
task that entered it. When the daemon drains, answers that go on for ever end; calls that are being answered finish.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from att.mcp.bridge import POLL, AsgiBridge

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from mcp.server.mcpserver import MCPServer
    from mcp.server.streamable_http import EventStore

    from att.mcp.sessions import Sessions

METHODS = ("GET", "POST", "DELETE")


@dataclass(frozen=True, slots=True)
class McpSettings:
    """How the door is kept. `hosts` and `origins`: what `Host` and `Origin` may say (`name:*` for any port); None where
    the application around it has checked that already."""

    body_limit: int = 16 << 20
    max_sessions: int = 256
    idle_timeout: float = 30 * 60
    json_answers: bool = False
    hosts: tuple[str, ...] | None = None
    origins: tuple[str, ...] = ()
    events: EventStore | None = None
    retry_ms: int | None = None


Load = Callable[[], "Server[Any] | MCPServer[Any]"]
Admit = Callable[[web.Request], Callable[[], Mapping[str, Any]]]
"""Lets a request in, or raises why it may not; what it returns makes additions to the scope, once the SDK is loaded."""


class Mounted:
    """One MCP server, loaded at its first request."""

    def __init__(
        self,
        load: Load,
        settings: McpSettings,
        admit: Admit | None = None,
        still: Callable[[web.Request], bool] | None = None,
        taken: Callable[[web.Request], Awaitable[bytes | None]] | None = None,
        hears: Callable[[str, bool], None] | None = None,
    ) -> None:
        """`still`: whether who was let in would be let in now. `taken`: as the bridge has it. `hears`: as the sessions do."""
        self._taken = taken
        self._hears = hears or (lambda _session, _can: None)
        self._load = load
        self._still = still
        self._settings = settings
        self._admit = admit
        self._open: asyncio.Task[AsgiBridge] | None = None
        self._owner: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()
        self.draining = False
        self._server: Any = None
        self._manager: Sessions | None = None

    @property
    def loaded(self) -> bool:
        return self._server is not None

    @property
    def sessions(self) -> int:
        """How many sessions of older clients there are."""
        return self._manager.open if self._manager is not None else 0

    @property
    def streams(self) -> int:
        """How many requests are being answered whose clients are waited with."""
        opened = self._open
        ready = opened is not None and opened.done() and not opened.cancelled() and not opened.exception()
        return opened.result().waiting if opened is not None and ready else 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request at the address."""
        extra = self._admit(request) if self._admit is not None else dict
        bridge = await self._bridge()
        return await bridge.answer(request, extra())

    async def drain(self) -> None:
        """End every answer that would go on for ever; what is being worked on finishes."""
        self.draining = True
        if self._server is not None and self._open is not None and self._open.done():
            self._end_streams(self._open.result())

    async def close(self) -> None:
        """Leave the session manager; what still runs in it is cancelled."""
        self._leave.set()
        if self._open is not None:
            await asyncio.wait([self._open])
        if self._owner is not None:
            await asyncio.wait([self._owner])

    def _end_streams(self, bridge: AsgiBridge) -> None:
        bridge.drain()
        listening = self._server.get_request_handler("subscriptions/listen")
        end: Callable[[], None] | None = getattr(getattr(listening, "handler", None), "close", None)
        if end is not None:
            end()

    async def _bridge(self) -> AsgiBridge:
        if self._open is None or (self._open.done() and self._open.exception() is not None):
            self._open = asyncio.create_task(self._opened(), name="mcp-open")
        return await asyncio.shield(self._open)

    async def _opened(self) -> AsgiBridge:
        manager, server = await asyncio.to_thread(self._made)
        running: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(manager, running), name="mcp-sessions")
        await running
        self._server, self._manager = server, manager
        bridge = AsgiBridge(manager.handle_request, poll=POLL, still=self._still, taken=self._taken)
        if self.draining:
            bridge.drain()
        return bridge

    def _made(self) -> tuple[Sessions, Any]:
        """Everything that is slow to load."""
        import mcp.server.streamable_http  # noqa: F401
        from mcp.server.transport_security import TransportSecuritySettings

        from att.mcp.sessions import Sessions

        given: Any = self._load()
        server: Server[Any] = getattr(given, "_lowlevel_server", given)  # what an MCPServer wraps
        settings = self._settings
        security = TransportSecuritySettings(
            enable_dns_rebinding_protection=settings.hosts is not None,
            allowed_hosts=list(settings.hosts or ()),
            allowed_origins=list(settings.origins),
        )
        manager = Sessions(
            server,
            event_store=settings.events,
            json_response=settings.json_answers,
            security_settings=security,
            retry_interval=settings.retry_ms,
            session_idle_timeout=settings.idle_timeout,
            max_request_body_size=settings.body_limit,
            max_sessions=settings.max_sessions,
            hears=self._hears,
        )
        return manager, server

    async def _own(self, manager: Sessions, running: asyncio.Future[None]) -> None:
        try:
            async with manager.run():
                running.set_result(None)
                await self._leave.wait()
        except Exception as fault:
            if running.done():
                raise
            running.set_exception(fault)


def mount(
    app: web.Application,
    server: Server[Any] | MCPServer[Any],
    *,
    path: str = "/mcp",
    settings: McpSettings | None = None,
) -> Mounted:
    """Serve any MCP server at `path` of an application of one's own, as the daemon serves its."""
    mounted = Mounted(lambda: server, settings or McpSettings())
    add_routes(app, path, mounted.answer)
    app.on_shutdown.append(lambda _: mounted.drain())
    app.on_cleanup.append(lambda _: mounted.close())
    return mounted


def add_routes(
    app: web.Application, path: str, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> None:
    """The methods of the transport, and OPTIONS as HTTP means it."""

    async def options(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204, headers={"Allow": ", ".join(sorted((*METHODS, "OPTIONS")))})

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(request)

    resource = app.router.add_resource(path)
    for method in METHODS:
        resource.add_route(method, handle)
    resource.add_route("OPTIONS", options)
