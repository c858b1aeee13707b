"""The service of the room `mcp`: what is offered to agents, told at every door."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

from att.catalogue import Operation, Scope
from att.config import Settings
from att.mcp import names
from att.mcp.models import Discovery, ResourceList, ToolPage
from att.mcp.names import Spelling
from att.mcp.surface import Surface

PATH = "/mcp"
METADATA = "/.well-known/oauth-protected-resource"
PROTOCOLS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")


class Offer:
    """Tools and resources by the settings. The schemas are made when they are first asked for."""

    def __init__(self, operations: Iterable[Operation], settings: Settings) -> None:
        self.version = _version()
        self._operations = list(operations)
        self._settings = settings
        names.spoken(self._operations)  # two tools of one name are told of at the start

    @cached_property
    def surface(self) -> Surface:
        return Surface(self._operations, Spelling(self._settings.mcp_tool_names))

    def discovery(self) -> Discovery:
        url = self._settings.url
        return Discovery(
            name="att",
            version=self.version,
            url=url + PATH,
            protocol_versions=list(PROTOCOLS),
            resource_metadata=url + METADATA + PATH,
        )

    async def tools(self, scopes: frozenset[Scope], cursor: str | None, limit: int) -> ToolPage:
        """A page of the tools that these scopes may call, by name."""
        surface = await asyncio.to_thread(lambda: self.surface)
        shown = sorted((tool.shown for tool in surface.allowed(scopes)), key=lambda tool: tool.name)
        start = bisect_right([tool.name for tool in shown], cursor) if cursor else 0
        page = shown[start : start + limit]
        more = start + limit < len(shown)
        return ToolPage(tools=page, next_cursor=page[-1].name if more else None)

    async def resources(self, scopes: frozenset[Scope]) -> ResourceList:
        surface = await asyncio.to_thread(lambda: self.surface)
        return ResourceList(resources=surface.resources(scopes))


def _version() -> str:
    try:
        return version("agent-toolkit-toolkit")
    except PackageNotFoundError:
        return "0+source"
