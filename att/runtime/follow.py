"""Following an app's log: lines as they come, and a word whenever the app's state changes.

Pulls by cursor, so a slow client costs no memory. A follow without a cursor begins with the last `limit` lines and goes on
from there without a gap. The framed bytes of a block of lines are made once and shared by all who are at the same place.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict

from att.catalogue import Chunks
from att.runtime import translate
from att.runtime.models import ReadLogs
from att.runtime.service import Runtime
from supervisor.logs.errors import LogClosed
from supervisor.logs.framing import Form, frame
from supervisor.logs.log import Follower
from supervisor.logs.values import Filters, Line

LOOK = 1.0  # seconds after which a quiet follow looks for a change of state


def filters(ask: ReadLogs) -> Filters:
    return Filters(stream=ask.stream, run=ask.run, grep=ask.grep, level=ask.level, strip_ansi=ask.strip_ansi)


async def open_follow(ask: ReadLogs, last_event_id: str | None, runtime: Runtime, form: Form) -> Chunks:
    """The pieces to send. Bad cursors and filters are refused here, before anything is sent."""
    log = await runtime.log(ask.project_id)
    with translate.logs():
        cursor = last_event_id or ask.cursor
        first: Sequence[Line] = ()
        if cursor is None:
            page = await log.page(None, ask.limit, filters=filters(ask))
            first, cursor = page.lines, page.next_cursor
        follower = log.follow(cursor, filters(ask), form)
    return _pieces(first, follower, ask.project_id, runtime, form)


async def _pieces(
    first: Sequence[Line], follower: Follower, project_id: str, runtime: Runtime, form: Form
) -> AsyncIterator[bytes]:
    seen: tuple[object, int] = (None, -1)
    if first:
        yield b"".join(_line(line, form) for line in first)
    while True:
        app = runtime.current(project_id)
        now = (app, app.changes if app is not None else 0)
        if now != seen and form is not Form.TEXT:
            seen = now
            yield await _state(project_id, runtime, form)
        try:
            batch = await follower.next(timeout=LOOK)
        except LogClosed:
            return
        if batch is not None:
            yield frame(batch, form)


def _line(line: Line, form: Form) -> bytes:
    """As `frame` does it, for the lines of a page."""
    if form is Form.TEXT:
        return f"{line.text}\n".encode("utf-8", "replace")
    text = json.dumps(asdict(line), ensure_ascii=False, separators=(",", ":"))
    framed = f"id: {line.cursor}\nevent: line\ndata: {text}\n\n" if form is Form.SSE else f"{text}\n"
    return framed.encode("utf-8", "replace")


async def _state(project_id: str, runtime: Runtime, form: Form) -> bytes:
    found = (await runtime.status(project_id, figures=False)).model_dump(
        mode="json", include={"state", "run_id", "pid", "healthy", "reason", "restarts"}
    )
    if form is Form.SSE:
        return f"event: state\ndata: {json.dumps(found)}\n\n".encode()
    return (json.dumps({"state": found}) + "\n").encode()
