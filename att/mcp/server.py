"""The MCP server on the catalogue: which handler answers what. The only file besides the door that speaks the SDK's language.

Handlers find who asks in the scope of their request. What goes wrong with a tool is a tool error; with anything else an error
of the protocol, -32602, that carries the problem.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
)
from mcp.shared.exceptions import MCPError

from att.access import Caller as Who
from att.event.log import EventLog
from att.mcp import prompts
from att.mcp.chosen import instructions
from att.mcp.doorkeeper import ROOMS, Visitor, visitor
from att.mcp.names import Spelling
from att.mcp.notify import LIST, Notifier
from att.mcp.progress import Report
from att.mcp.resources import Resources, refusal
from att.mcp.surface import Surface
from att.mcp.tools import Caller
from att.problems import Problem

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]
_MOST_COMPLETIONS = 100
_MOST_SUBSCRIPTIONS = 1000  # of one client
_TOO_MANY = f"At most {_MOST_SUBSCRIPTIONS} resources can be listened to at once."


class AttServer(Server[Any]):
    """Answers for the whole catalogue."""

    def __init__(
        self, surface: Surface, caller: Caller, events: EventLog, spelling: Spelling, version: str
    ) -> None:
        super().__init__(
            "att",
            version=version,
            title="ATT",
            description="Keeps a NAT app running; to see, change, test and deploy it.",
            instructions=instructions(spelling, None),
            cache_hints={
                "tools/list": CacheHint(ttl_ms=60_000),
                "prompts/list": CacheHint(ttl_ms=60_000),
                "resources/templates/list": CacheHint(ttl_ms=60_000),
                "resources/list": CacheHint(),
                "resources/read": CacheHint(),
            },
            get_tool_input_schema=self._schema_of,
        )
        self.middleware.clear()  # tracing without an exporter
        self._surface = surface
        self._caller = caller
        self._spelling = spelling
        self._resources = Resources(surface, caller)
        self._schemas = {n: surface.tools[o].shown.input_schema for n, o in surface.spoken.items()}
        self._wire = {name: tool.wire() for name, tool in surface.tools.items()}
        self.notifier = Notifier(events, caller, self._publish)
        self._bus = InMemorySubscriptionBus()
        handlers: tuple[tuple[str, Any, Any], ...] = (
            ("tools/list", types.PaginatedRequestParams, self._list_tools),
            ("tools/call", types.CallToolRequestParams, self._call_tool),
            ("resources/list", types.PaginatedRequestParams, self._list_resources),
            ("resources/templates/list", types.PaginatedRequestParams, self._list_templates),
            ("resources/read", types.ReadResourceRequestParams, self._read_resource),
            ("resources/subscribe", types.SubscribeRequestParams, self._subscribe),
            ("resources/unsubscribe", types.UnsubscribeRequestParams, self._unsubscribe),
            ("prompts/list", types.PaginatedRequestParams, self._list_prompts),
            ("prompts/get", types.GetPromptRequestParams, self._get_prompt),
            ("completion/complete", types.CompleteRequestParams, self._complete),
            ("server/discover", types.RequestParams, self._discovered),
        )
        for method, kind, answer in handlers:
            self.add_request_handler(method, kind, answer)
        listen = _Listen(self._bus, self.notifier, self._resources)
        self.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, listen)
        self.add_notification_handler(
            "notifications/initialized", types.NotificationParams, self._initialized
        )

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *args: Any, **named: Any
    ) -> InitializationOptions:
        told = notification_options or NotificationOptions(resources_changed=True)
        options = super().create_initialization_options(told, *args, **named)
        return options.model_copy(update={"instructions": instructions(self._spelling, ROOMS.get())})

    async def _discovered(self, ctx: Context, params: types.RequestParams | None) -> types.DiscoverResult:
        found = await self._handle_discover(ctx, params)
        return found.model_copy(update={"instructions": instructions(self._spelling, ROOMS.get())})

    def _schema_of(self, name: str) -> Json | None:
        return self._schemas.get(name)

    # -- tools

    async def _list_tools(self, ctx: Context, params: types.PaginatedRequestParams) -> Json:
        allowed = self._surface.allowed(visitor(ctx.request).caller.scopes, ROOMS.get())
        return {"resultType": "complete", "tools": [self._wire[tool.operation.name] for tool in allowed]}

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> Json:
        name = self._surface.meant(params.name, ROOMS.get())
        if name is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:100]}")
        reporter = _Reporter(ctx) if (ctx.meta or {}).get("progress_token") is not None else None
        report: Report | None = reporter.report if reporter else None
        try:
            return await self._caller.call(name, params.arguments or {}, visitor(ctx.request), report)
        finally:
            if reporter is not None:
                reporter.over = True

    # -- resources

    async def _list_resources(self, ctx: Context, params: types.PaginatedRequestParams) -> Json:
        asks = visitor(ctx.request)
        try:
            return await self._resources.listed(asks, params.cursor)
        except Problem as problem:
            raise _refused(problem, "att://projects", asks) from None

    async def _list_templates(self, ctx: Context, params: types.PaginatedRequestParams) -> Json:
        return self._resources.templates(visitor(ctx.request))

    async def _read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> Json:
        asks, uri = visitor(ctx.request), str(params.uri)
        try:
            return await self._resources.read(asks, uri)
        except Problem as problem:
            raise _refused(problem, uri, asks) from None

    async def _subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        asks, uri = visitor(ctx.request), str(params.uri)
        if not self._resources.may_read(asks.caller.scopes, uri):
            raise MCPError(
                types.INVALID_PARAMS, "There is no such resource to subscribe to.", {"uri": uri[:1000]}
            )
        if (session := self._join(ctx)) is not None:
            if self.notifier.subscriptions(session) >= _MOST_SUBSCRIPTIONS:
                raise MCPError(types.INVALID_PARAMS, _TOO_MANY)
            self.notifier.subscribe(session, uri, _push(ctx.session))
        return types.EmptyResult()

    async def _unsubscribe(self, ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        session = _session_of(ctx)
        if session is not None:
            self.notifier.unsubscribe(session, str(params.uri))
        return types.EmptyResult()

    async def _initialized(self, ctx: Context, params: types.NotificationParams) -> None:
        self._join(ctx)

    def _join(self, ctx: Context) -> str | None:
        """The session of the request, which hears of changes from now on until it ends; only a token that may read hears."""
        session = _session_of(ctx)
        connection = ctx.session._connection
        if session is None or "att" in connection.state or not self._may_hear(visitor(ctx.request).caller):
            return session
        connection.state["att"] = True
        connection.exit_stack.callback(self.notifier.leave, session)
        self.notifier.join(session, _push(ctx.session))
        return session

    def _may_hear(self, who: Who) -> bool:
        return bool(self._surface.readable(who.scopes))

    async def _publish(self, change: str) -> None:
        await self._bus.publish(ResourcesListChanged() if change == LIST else ResourceUpdated(uri=change))

    # -- prompts

    async def _list_prompts(self, ctx: Context, params: types.PaginatedRequestParams) -> Json:
        return {"resultType": "complete", "prompts": prompts.listed()}

    async def _get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> Json:
        prompt = prompts.find(params.name)
        if prompt is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name[:100]}")
        given = {name: value[:4000].replace("\0", "") for name, value in (params.arguments or {}).items()}
        if missing := prompts.missing(prompt, given):
            raise MCPError(
                types.INVALID_PARAMS, f"The prompt needs {', '.join(missing)}.", {"missing": missing}
            )
        text = prompts.text(prompt, given, self._spelling, self._surface.of(ROOMS.get()))
        message = {"role": "user", "content": {"type": "text", "text": text}}
        return {"resultType": "complete", "description": prompt.about, "messages": [message]}

    async def _complete(self, ctx: Context, params: types.CompleteRequestParams) -> Json:
        """Ids of projects; nothing for whom may not read them."""
        asks, wanted = visitor(ctx.request), params.argument.name
        of_prompt = isinstance(params.ref, types.PromptReference) and wanted == "project_id"
        of_place = isinstance(params.ref, types.ResourceTemplateReference) and wanted == "id"
        found: list[str] = []
        if of_prompt or of_place:
            with suppress(Problem):
                found = await self._resources.projects(asks, params.argument.value)
        values = found[:_MOST_COMPLETIONS]
        told = {"values": values, "total": len(found), "hasMore": len(found) > len(values)}
        return {"resultType": "complete", "completion": told}


class _Reporter:
    """Progress of one call, as long as somebody waits for it."""

    def __init__(self, ctx: Context) -> None:
        self._session: ServerSession = ctx.session
        self.over = False

    async def report(self, far: float, total: float | None, words: str | None) -> None:
        if not self.over:
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                await self._session.report_progress(far, total, words)


class _Listen:
    """`subscriptions/listen`, of what the caller may read only."""

    def __init__(self, bus: InMemorySubscriptionBus, notifier: Notifier, resources: Resources) -> None:
        self._streams = ListenHandler(bus)
        self._notifier = notifier
        self._resources = resources
        self.close = self._streams.close

    async def __call__(
        self, ctx: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        asked = params.notifications
        scopes = visitor(ctx.request).caller.scopes
        uris = [
            uri for uri in asked.resource_subscriptions or () if self._resources.may_read(scopes, str(uri))
        ]
        if len(uris) > _MOST_SUBSCRIPTIONS:
            raise MCPError(types.INVALID_PARAMS, _TOO_MANY)
        lists = asked.resources_list_changed if self._resources.may_read(scopes, "att://projects") else None
        honoured = asked.model_copy(
            update={"resource_subscriptions": uris or None, "resources_list_changed": lists}
        )
        end: Callable[[], None] = self._notifier.listen([str(uri) for uri in uris])
        try:
            return await self._streams(ctx, params.model_copy(update={"notifications": honoured}))
        finally:
            end()


def _session_of(ctx: Context) -> str | None:
    request: Any = ctx.request
    found = request.headers.get("mcp-session-id")
    return found if isinstance(found, str) else None


def _push(session: ServerSession) -> Callable[[str], Any]:
    async def push(change: str) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            if change == LIST:
                await session.send_resource_list_changed()
            else:
                await session.send_resource_updated(change)

    return push


def _refused(problem: Problem, uri: str, asks: Visitor) -> MCPError:
    told = refusal(problem, uri, asks.request_id)
    return MCPError(types.INVALID_PARAMS, f"{problem.title}: {problem.detail}", told)
