"""Bodies as they come in and go out: bounded, and large ones piece by piece, so that none holds the loop for long."""

from __future__ import annotations

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


async def sent(request: web.Request, response: web.Response) -> web.StreamResponse:
    """The response, sent piece by piece when it is large: in one, it would be copied as a whole several times."""
    body = response.body
    if not isinstance(body, bytes) or len(body) <= PIECE or request.method == "HEAD":
        return response
    slow = web.StreamResponse(status=response.status, headers=response.headers)
    slow.content_length = len(body)
    await slow.prepare(request)
    view = memoryview(body)
    for at in range(0, len(view), PIECE):
        await slow.write(view[at : at + PIECE])
    await slow.write_eof()
    return slow


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than the {limit} bytes that are taken.", limit=limit)
