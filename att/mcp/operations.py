"""What can be asked about the MCP server: how it is reached, and what it offers to whom asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Call, Effect, Room, Scope
from att.mcp.models import AskDiscovery, Discovery, ListResources, ListTools, ResourceList, ToolPage

if TYPE_CHECKING:
    from att.mcp.offer import Offer

room = Room("mcp")


@room.operation("GET", "/mcp/.well-known", effect=Effect.READ, scope=Scope.OPEN)
async def discover(ask: AskDiscovery, offer: Offer) -> Discovery:
    """How a client reaches the MCP server: its address, protocol versions and kind of token."""
    return offer.discovery()


@room.operation("GET", "/mcp/tools", effect=Effect.READ)
async def tools(ask: ListTools, call: Call, offer: Offer) -> ToolPage:
    """List the MCP tools that the caller's token may call, with their schemas."""
    return await offer.tools(call.scopes, ask.cursor, ask.limit)


@room.operation("GET", "/mcp/resources", effect=Effect.READ)
async def resources(ask: ListResources, call: Call, offer: Offer) -> ResourceList:
    """List the MCP resources that the caller's token may read, with their templates."""
    return await offer.resources(call.scopes)
