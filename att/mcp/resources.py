"""Reading resources: by the operations that they are made of, with the reader's own rights."""

from __future__ import annotations

import json
from typing import Any

from att.catalogue import Scope
from att.http.guard import permit
from att.mcp import places
from att.mcp.answers import Json
from att.mcp.doorkeeper import Visitor
from att.mcp.errors import UnknownResource
from att.mcp.places import PROJECTS, Address, Place
from att.mcp.surface import Surface
from att.mcp.tools import Caller
from att.problems import Problem

PAGE = 20  # projects whose resources one page of the list holds


class Resources:
    """What can be read, and its reading."""

    def __init__(self, surface: Surface, caller: Caller) -> None:
        self._surface = surface
        self._caller = caller
        self._places = {place.name: place for place in surface.places}

    async def listed(self, visitor: Visitor, cursor: str | None) -> Json:
        """The resources that there are now, page by page of projects."""
        readable = self._surface.readable(visitor.caller.scopes)
        found: list[Json] = []
        if cursor is None:
            found += [
                _shown(place, place.template, "All projects") for place in readable if place.name == PROJECTS
            ]
        answer: Json = {"resultType": "complete", "resources": found}
        if any(place.name == PROJECTS for place in readable):
            page = json.loads(await self._projects(visitor, cursor, PAGE))
            for project in page["projects"]:
                found += [
                    _shown(
                        place, places.address(place.name, project["id"]), f"{project['name']}: {place.name}"
                    )
                    for place in readable
                    if place.name != PROJECTS
                ]
            if page["next_cursor"]:
                answer["nextCursor"] = page["next_cursor"]
        return answer

    def templates(self, visitor: Visitor) -> Json:
        readable = self._surface.readable(visitor.caller.scopes)
        told = [
            {
                "uriTemplate": place.template,
                "name": place.name,
                "title": f"Project: {place.name}",
                "description": place.about,
                "mimeType": place.media_type,
            }
            for place in readable
            if place.name != PROJECTS
        ]
        return {"resultType": "complete", "resourceTemplates": told}

    def may_read(self, scopes: frozenset[Scope], uri: str) -> bool:
        """Whether a token of these scopes may know that the resource changes."""
        found = places.parse(uri)
        return found is not None and any(p.name == found.place for p in self._surface.readable(scopes))

    async def read(self, visitor: Visitor, uri: str) -> Json:
        """The contents. A `Problem` when there is no such resource, or it may not be read."""
        found = places.parse(uri)
        place = self._places.get(found.place) if found is not None else None
        if found is None or place is None:
            raise UnknownResource("There is no resource at this address.", uri=uri[:1000])
        for need in place.operations:
            permit(visitor.caller, self._surface.tools[need].operation)
        text = await self._text(found, visitor)
        contents = [{"uri": uri, "mimeType": place.media_type, "text": text}]
        return {"resultType": "complete", "contents": contents}

    async def _text(self, found: Address, visitor: Visitor) -> str:
        if found.project_id is None:
            return (await self._projects(visitor, None, 1000)).decode()
        given: dict[str, Any] = {"project_id": found.project_id}
        if found.place == "config":
            return await self._config(given, visitor)
        (operation,) = self._places[found.place].operations
        return (await self._caller.body(operation, {**given, **found.query}, visitor)).decode()

    async def _config(self, given: dict[str, Any], visitor: Visitor) -> str:
        project = json.loads(await self._caller.body("project.get", given, visitor))
        path = project["nat_config_path"]
        if path is None:
            raise UnknownResource(
                "The project has no NAT config.", hint="Write one, for example `config.yml`."
            )
        file = json.loads(await self._caller.body("code.read", {**given, "path": path}, visitor))
        return str(file["content"])

    async def projects(self, visitor: Visitor, beginning: str) -> list[str]:
        """Ids of projects that begin so, for completion."""
        page = json.loads(await self._projects(visitor, None, 1000))
        return [project["id"] for project in page["projects"] if project["id"].startswith(beginning)]

    async def _projects(self, visitor: Visitor, cursor: str | None, limit: int) -> bytes:
        given: dict[str, Any] = {"limit": limit}
        if cursor is not None:
            given["cursor"] = cursor
        return await self._caller.body("project.list", given, visitor)


def refusal(problem: Problem, uri: str, request_id: str) -> Json:
    """What an error of the protocol carries: the problem, and which resource it is about."""
    told = problem.document(instance=uri[:1000], request_id=request_id)
    return {**json.loads(json.dumps(told, default=str)), "uri": uri[:1000]}


def _shown(place: Place, uri: str, title: str) -> Json:
    return {
        "uri": uri,
        "name": uri.removeprefix("att://"),
        "title": title,
        "description": place.about,
        "mimeType": place.media_type,
    }
