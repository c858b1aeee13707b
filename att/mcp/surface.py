"""What is offered at the MCP door, made from the catalogue: tools with their schemas, resources with their templates.

Nothing of the SDK is needed for this, so the room `mcp` tells it at every door without loading that. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from att.catalogue import Effect, Operation, Scope
from att.mcp import names, schemas
from att.mcp.chosen import Rooms, room_of
from att.mcp.models import ResourceShown, ToolHints, ToolShown
from att.mcp.names import Spelling
from att.mcp.places import PLACES, PROJECTS, Place

# These reach beyond this machine.
OUTSIDE = frozenset(
    {
        *("project.create", "project.download", "runtime.environment.build", "release.stage", "deploy.build"),
        *("git.push", "git.pull", "git.fetch", "git.actions"),
    }
)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool, and what a token must carry for it."""

    operation: Operation
    shown: ToolShown

    def wire(self) -> dict[str, Any]:
        """As `tools/list` tells it."""
        hints, shown = self.shown.annotations, self.shown
        return {
            "name": shown.name,
            "title": shown.title,
            "description": shown.description,
            "inputSchema": shown.input_schema,
            "outputSchema": shown.output_schema,
            "annotations": {
                "title": shown.title,
                "readOnlyHint": hints.read_only,
                "destructiveHint": hints.destructive,
                "idempotentHint": hints.idempotent,
                "openWorldHint": hints.open_world,
            },
        }


class Surface:
    """All tools and resources. ValueError when two tools would have one name."""

    def __init__(self, operations: Iterable[Operation], spelling: Spelling) -> None:
        known = list(operations)
        self.spoken: Mapping[str, str] = names.spoken(known)
        self.tools = {operation.name: _tool(operation, spelling) for operation in known}
        self.places: tuple[Place, ...] = tuple(
            place for place in PLACES if all(need in self.tools for need in place.operations)
        )

    def allowed(self, scopes: frozenset[Scope], rooms: Rooms | None = None) -> list[Tool]:
        """The tools of these rooms that a token of these scopes may call."""
        return [tool for tool in self.of(rooms).values() if tool.operation.scope in scopes]

    def of(self, rooms: Rooms | None) -> Mapping[str, Tool]:
        """The tools of these rooms, by operation; None: of all."""
        if rooms is None:
            return self.tools
        return {name: tool for name, tool in self.tools.items() if room_of(name) in rooms}

    def meant(self, name: str, rooms: Rooms | None) -> str | None:
        """The operation that a call of this name means; None when no tool of these rooms has it."""
        operation = self.spoken.get(name)
        return operation if operation and (rooms is None or room_of(operation) in rooms) else None

    def readable(self, scopes: frozenset[Scope]) -> list[Place]:
        """The resources that a token of these scopes may read."""
        return [
            place
            for place in self.places
            if all(self.tools[need].operation.scope in scopes for need in place.operations)
        ]

    def resources(self, scopes: frozenset[Scope]) -> list[ResourceShown]:
        return [
            ResourceShown(
                uri=place.template,
                name=place.name,
                description=place.about,
                media_type=place.media_type,
                template=place.name != PROJECTS,
                operations=list(place.operations),
            )
            for place in self.readable(scopes)
        ]


def _tool(operation: Operation, spelling: Spelling) -> Tool:
    about = [operation.summary, operation.description, f"Needs the scope `{operation.scope}`."]
    return Tool(
        operation,
        ToolShown(
            name=names.advertised(operation.name, spelling),
            canonical_name=names.canonical(operation.name),
            operation=operation.name,
            title=names.title(operation.name),
            description="\n".join(part for part in about if part),
            scope=str(operation.scope),
            annotations=ToolHints(
                read_only=operation.effect is Effect.READ,
                destructive=operation.effect is Effect.DESTRUCTIVE,
                idempotent=operation.idempotent,
                open_world=operation.name in OUTSIDE or operation.name.startswith("git.pr."),
            ),
            input_schema=schemas.input_schema(operation),
            output_schema=schemas.output_schema(operation),
        ),
    )
