"""Operations that answer by a stream only, as one answer: what the stream tells until it ends, pauses or is large enough."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress

from pydantic import BaseModel

from att.catalogue import Bound, Call, Stream
from att.http.streams import NDJSON, TEXT
from att.mcp.answers import LARGEST
from att.mcp.errors import ResultTooLarge

PAUSE = 1.0  # seconds without a piece after which a stream that goes on is left
_PREFERRED = (NDJSON, TEXT)


async def gathered(bound: Bound, ask: BaseModel, call: Call, pause: float = PAUSE) -> bytes:
    """The JSON of what the stream told."""
    stream = _chosen(bound)
    kind = stream.media_type
    most = LARGEST * 3 // 4 - 1024  # what is not text travels as base64; what is may grow by its escapes
    data, whole = await _read(bound, stream, ask, call, most, pause if kind in _PREFERRED else None)
    if kind == NDJSON:
        kept = data if whole else data[: data.rfind(b"\n") + 1]
        items = [json.loads(line) for line in kept.splitlines() if line.strip()]
        return json.dumps({"items": items, "complete": whole}).encode()
    if kind == TEXT:
        return json.dumps({"text": data.decode("utf-8", "replace"), "complete": whole}).encode()
    if not whole:
        raise ResultTooLarge(
            f"The result has more than {most} bytes.",
            hint=f"Fetch it over HTTP: {bound.operation.method} /api/v1{bound.operation.path}.",
            limit=most,
        )
    told = {"media_type": kind, "size": len(data), "base64": base64.b64encode(data).decode()}
    return json.dumps(told).encode()


def _chosen(bound: Bound) -> Stream:
    streams = {stream.media_type: stream for stream in bound.operation.streams}
    return next((streams[kind] for kind in _PREFERRED if kind in streams), bound.operation.streams[0])


async def _read(
    bound: Bound, stream: Stream, ask: BaseModel, call: Call, most: int, pause: float | None
) -> tuple[bytes, bool]:
    """Up to `most` bytes, and whether that is all. Leaves a stream that tells nothing for `pause` seconds."""
    chunks = await bound.open(stream, ask, call)
    data = bytearray()
    try:
        with suppress(TimeoutError):
            while len(data) <= most:
                async with asyncio.timeout(pause):
                    piece = await anext(chunks, None)
                if piece is None:
                    return bytes(data), True
                data += piece
        return bytes(data[:most]), False
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
