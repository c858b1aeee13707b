"""What is asked of the room `mcp` and what it answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class AskDiscovery(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Discovery(BaseModel):
    """How a client reaches the MCP server."""

    name: str
    version: str
    url: str
    transport: str = "streamable-http"
    protocol_versions: list[str]
    authentication: str = "bearer"
    resource_metadata: str


class ListTools(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(default=None, max_length=128, description="The last name of the page before.")
    limit: int = Field(default=100, ge=1, le=1000)


class ToolHints(BaseModel):
    """What a client may know before it calls."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


class ToolShown(BaseModel):
    """One tool. `name` is what `tools/list` says; `canonical_name` is taken too."""

    name: str
    canonical_name: str
    operation: str
    title: str
    description: str
    scope: str
    annotations: ToolHints
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class ToolPage(BaseModel):
    """Tools by name. Ask again with `cursor` = `next_cursor`; null: there are no more."""

    tools: list[ToolShown]
    next_cursor: str | None


class ListResources(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ResourceShown(BaseModel):
    """One resource, or with `template` a kind of which each project has one."""

    uri: str
    name: str
    description: str
    media_type: str
    template: bool
    operations: list[str]


class ResourceList(BaseModel):
    resources: list[ResourceShown]
