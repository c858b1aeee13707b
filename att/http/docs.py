"""The reference at `/docs`: one page, made of the catalogue by the daemon itself, with nothing from elsewhere, so it works offline.

Sent to anybody, as the page at `/` is: it holds what every installation of this version holds, and nothing of this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html import escape
from pathlib import Path

from aiohttp import web

from att.catalogue import Operation
from att.http.front import headers_for

FRAME = Path(__file__).parent / "page" / "docs.html"


class Docs:
    """The page's bytes, made when they are first asked for."""

    def __init__(self, operations: Sequence[Operation], version: str) -> None:
        self._operations = operations
        self._version = version
        self._lock = asyncio.Lock()
        self._made: tuple[bytes, dict[str, str]] | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        async with self._lock:
            if self._made is None:
                body = await asyncio.to_thread(page, self._operations, self._version)
                self._made = body, headers_for(body)
        body, headers = self._made
        if headers["ETag"] in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers={"ETag": headers["ETag"]})
        return web.Response(body=body, headers=headers)


def text(operations: Sequence[Operation], version: str) -> str:
    """The reference as Markdown."""
    from att.config import Settings
    from att.event.types import FAMILIES, TYPES
    from att.http.openapi import build
    from att.reference.markdown import reference
    from att.rooms import ROOMS

    abouts = {name: about for name, (_, about) in ROOMS.items()}
    return reference(
        operations, build(operations, version), abouts, Settings.model_json_schema(), {**TYPES, **FAMILIES}
    )


def page(operations: Sequence[Operation], version: str) -> bytes:
    """The whole page: the reference between the frame's head and foot, with a list of what is there."""
    from markdown_it import MarkdownIt

    tokens = (reader := MarkdownIt("commonmark", {"html": False}).enable("table")).parse(
        text(operations, version)
    )
    contents: list[str] = []
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            title = tokens[at + 1].content.strip("`")
            token.attrSet("id", title.lower().replace(" ", "-"))
            contents.append(
                f'<a class="{token.tag}" href="#{escape(str(token.attrGet("id")))}">{escape(title)}</a>'
            )
    body = reader.renderer.render(tokens, reader.options, {})
    frame = FRAME.read_text("utf-8")
    return (
        frame.replace("<!--version-->", escape(version))
        .replace("<!--contents-->", "\n".join(contents[1:]))
        .replace("<!--reference-->", body)
        .encode()
    )
