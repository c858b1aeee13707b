"""Bodies as they come in and go out: bounded, and large ones piece by piece, so that none holds the loop for long."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from att.bulk import LARGE, aside
from att.http.errors import BodyTooLarge

PIECE = 256 << 10


async def body_of(request: web.Request, limit: int) -> bytes:
    """The whole body; `BodyTooLarge` when it has more bytes than the limit."""
    if not request.body_exists:
        return b""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    pieces: list[bytes] = []
    size = 0
    while piece := await request.content.readany():
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    return b"".join(pieces) if size <= LARGE else await aside(b"".join, pieces)


async def sent(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The response, sent piece by piece when it is large: in one, it would be copied as a whole several times.

    A client that leaves meanwhile is no fault: what was asked for is done, and noted so.
    """
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or len(body) <= PIECE or request.method == "HEAD":
        return response
    slow = web.StreamResponse(status=response.status, headers=response.headers)
    slow.content_length = len(body)
    view = memoryview(body)
    with suppress(ConnectionError):
        await slow.prepare(request)
        for at in range(0, len(view), PIECE):
            await slow.write(view[at : at + PIECE])
        await slow.write_eof()
    return slow


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than the {limit} bytes that are taken.", limit=limit)
