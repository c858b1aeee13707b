"""What can be asked about events.

The doors add heartbeats to the streams; the WebSocket door sends `EventLog.subscribe`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from att.catalogue import Call, Chunks, Effect, Room, Stream
from att.event.models import (
    DeletedEvents,
    DeleteEvents,
    Event,
    EventPage,
    FollowEvents,
    FollowProjectEvents,
    ListEvents,
    ListProjectEvents,
    NewEvents,
)
from att.problems import BadCursor, ProjectNotFound

if TYPE_CHECKING:
    from att.event.log import EventLog

room = Room("event")

Frame = Callable[[Event], bytes]


def as_sse(event: Event) -> bytes:
    """A message whose id is the event's, so that `Last-Event-ID` goes on right after it."""
    return b"id: %d\ndata: %s\n\n" % (event.id, event.__pydantic_serializer__.to_json(event))


def as_ndjson(event: Event) -> bytes:
    return event.__pydantic_serializer__.to_json(event) + b"\n"


async def _frames(
    events: EventLog, after: int, project_id: str | None, types: list[str], frame: Frame, first: bytes
) -> AsyncGenerator[bytes, None]:
    if first:
        yield first
    async with aclosing(events.follow(after, project_id=project_id, types=types)) as blocks:
        async for block in blocks:
            yield b"".join(map(frame, block))


async def _start(ask: FollowEvents, call: Call, events: EventLog) -> int:
    """The id to go on from: the last one that the client has, else what it asks for, else now."""
    if call.last_event_id:
        if (
            not call.last_event_id.isascii()
            or not call.last_event_id.isdigit()
            or len(call.last_event_id) > 18
        ):
            raise BadCursor(f"Last-Event-ID {call.last_event_id[:40]!r} is no id of an event.")
        return int(call.last_event_id)
    return await events.newest() if ask.after is None else ask.after


async def open_sse(ask: FollowEvents, call: Call, events: EventLog) -> Chunks:
    return _frames(events, await _start(ask, call, events), None, ask.type, as_sse, b"retry: 1000\n\n")


async def open_ndjson(ask: FollowEvents, call: Call, events: EventLog) -> Chunks:
    return _frames(events, await _start(ask, call, events), None, ask.type, as_ndjson, b"")


async def open_project_sse(ask: FollowProjectEvents, call: Call, events: EventLog) -> Chunks:
    await events.require_project(ask.project_id)
    start = await _start(ask, call, events)
    return _frames(events, start, ask.project_id, ask.type, as_sse, b"retry: 1000\n\n")


async def open_project_ndjson(ask: FollowProjectEvents, call: Call, events: EventLog) -> Chunks:
    await events.require_project(ask.project_id)
    return _frames(events, await _start(ask, call, events), ask.project_id, ask.type, as_ndjson, b"")


@room.operation("GET", "/events", effect=Effect.READ, errors=(BadCursor,), name="event.list")
async def list_all(ask: ListEvents, events: EventLog) -> EventPage:
    """List events by type, project and time, page by page."""
    return await events.page(ask)


@room.operation(
    "GET", "/projects/{project_id}/events", effect=Effect.READ, errors=(BadCursor, ProjectNotFound)
)
async def list_project(ask: ListProjectEvents, events: EventLog) -> EventPage:
    """List the events of one project."""
    await events.require_project(ask.project_id)
    return await events.page(ask)


@room.operation(
    "GET",
    "/events/stream",
    effect=Effect.READ,
    errors=(BadCursor,),
    streams=(Stream("text/event-stream", open_sse), Stream("application/x-ndjson", open_ndjson)),
)
async def stream(ask: FollowEvents, events: EventLog) -> NewEvents:
    """Follow all events from an id on; as JSON, those there are by now or after `wait` seconds."""
    return await events.after(ask.after, types=ask.type, limit=ask.limit, wait=ask.wait)


@room.operation(
    "GET",
    "/projects/{project_id}/events/stream",
    effect=Effect.READ,
    errors=(BadCursor, ProjectNotFound),
    streams=(
        Stream("text/event-stream", open_project_sse),
        Stream("application/x-ndjson", open_project_ndjson),
    ),
)
async def stream_project(ask: FollowProjectEvents, events: EventLog) -> NewEvents:
    """Follow the events of one project from an id on."""
    await events.require_project(ask.project_id)
    return await events.after(
        ask.after, project_id=ask.project_id, types=ask.type, limit=ask.limit, wait=ask.wait
    )


@room.operation("DELETE", "/events", effect=Effect.DESTRUCTIVE, positional=("before",))
async def delete(ask: DeleteEvents, call: Call, events: EventLog) -> DeletedEvents:
    """Delete the events before a time; the deletion itself is recorded."""
    return await events.delete(ask, actor=call.actor, request_id=call.request_id)
