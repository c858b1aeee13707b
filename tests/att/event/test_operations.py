"""The operations of the event room, as a door runs them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from att.catalogue import Bound, Catalogue, Chunks, Stream
from att.event.log import EventLog
from att.event.models import DeleteEvents, FollowEvents, FollowProjectEvents, ListEvents, ListProjectEvents
from att.event.operations import room
from att.problems import BadCursor, ProjectNotFound
from att.project.models import CreateProject
from tests.att.rooms import CALL, Rooms, on_a_loop, rooms


def bound(house: Rooms) -> dict[str, Bound]:
    return Catalogue([room]).bind({EventLog: house.events})


def stream_of(operation: Bound, media_type: str) -> Stream:
    return next(stream for stream in operation.operation.streams if stream.media_type == media_type)


async def pieces(chunks: Chunks, count: int) -> list[bytes]:
    """The first `count` frames."""
    assert isinstance(chunks, AsyncIterator)
    raw = b""
    async with asyncio.timeout(5):
        async for chunk in chunks:
            raw += chunk
            if raw.count(b"\n\n") >= count or (b"retry" not in raw and raw.count(b"\n") >= count):
                break
    return raw.split(b"\n\n") if b"retry" in raw else raw.splitlines()


def test_the_room_offers_what_the_contract_names() -> None:
    offered = {(o.name, o.method, o.path) for o in room.operations}
    assert offered == {
        ("event.list", "GET", "/events"),
        ("event.list_project", "GET", "/projects/{project_id}/events"),
        ("event.stream", "GET", "/events/stream"),
        ("event.stream_project", "GET", "/projects/{project_id}/events/stream"),
        ("event.delete", "DELETE", "/events"),
    }


@on_a_loop
async def test_sse_goes_on_right_after_the_last_id(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        for n in range(5):
            await house.events.append("a.b", payload={"text": "two\nlines", "n": n})
        operation = bound(house)["event.stream"]
        sse = stream_of(operation, "text/event-stream")
        call = replace(CALL, last_event_id="3")
        chunks = await operation.open(
            sse, FollowEvents(after=0), call
        )  # the header counts more than the query
        frames = await pieces(chunks, 3)
        assert frames[0] == b"retry: 1000"
        assert [frame.split(b"\n")[0] for frame in frames[1:3]] == [b"id: 4", b"id: 5"]
        told = json.loads(frames[1].split(b"\ndata: ")[1])
        assert (told["id"], told["payload"]) == (4, {"text": "two\nlines", "n": 3})


@on_a_loop
async def test_ndjson_has_one_event_a_line(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        for _ in range(3):
            await house.events.append("a.b")
        operation = bound(house)["event.stream"]
        chunks = await operation.open(
            stream_of(operation, "application/x-ndjson"), FollowEvents(after=1), CALL
        )
        assert [json.loads(line)["id"] for line in await pieces(chunks, 2)] == [2, 3]


@on_a_loop
async def test_a_stream_without_an_id_begins_where_it_was_asked_for(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        await house.events.append("a.before")
        operation = bound(house)["event.stream"]
        chunks = await operation.open(stream_of(operation, "application/x-ndjson"), FollowEvents(), CALL)
        await house.events.append("a.between")  # after it was opened, before it is read
        assert [json.loads(line)["event_type"] for line in await pieces(chunks, 1)] == ["a.between"]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 19, "٣"])
@on_a_loop
async def test_a_bad_last_event_id_is_a_problem_before_the_stream_begins(tmp_path: Path, last: str) -> None:
    async with rooms(tmp_path) as house:
        operation = bound(house)["event.stream"]
        with pytest.raises(BadCursor):
            await operation.open(
                operation.operation.streams[0], FollowEvents(), replace(CALL, last_event_id=last)
            )


@on_a_loop
async def test_an_unknown_project_has_no_events_and_no_stream(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        operations = bound(house)
        with pytest.raises(ProjectNotFound):
            await operations["event.list_project"].run(ListProjectEvents(project_id="x"), CALL)
        follow = operations["event.stream_project"]
        with pytest.raises(ProjectNotFound):
            await follow.run(FollowProjectEvents(project_id="x"), CALL)
        for stream in follow.operation.streams:
            with pytest.raises(ProjectNotFound):
                await follow.open(stream, FollowProjectEvents(project_id="x"), CALL)


@on_a_loop
async def test_reading_writes_no_event(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        operations = bound(house)
        await operations["event.list"].run(ListEvents(), CALL)
        await operations["event.stream"].run(FollowEvents(after=0), CALL)
        assert await house.events.newest() == 0


@on_a_loop
async def test_listing_following_and_deleting_through_the_room(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        operations = bound(house)
        await house.projects.create(CreateProject(name="demo", template="echo"), CALL)
        await house.events.append("a.b")
        page = await operations["event.list_project"].run(ListProjectEvents(project_id="demo"), CALL)
        assert [event.event_type for event in page.events] == ["project.created"]
        follow = operations["event.stream_project"]
        new = await follow.run(FollowProjectEvents(project_id="demo", after=0), CALL)
        assert [event.id for event in new.events] == [1]
        for stream in follow.operation.streams:
            chunks = await follow.open(stream, FollowProjectEvents(project_id="demo", after=0), CALL)
            text = b"".join(await pieces(chunks, 2 if stream.media_type == "text/event-stream" else 1))
            assert b'"project.created"' in text
            assert b'"a.b"' not in text
        gone = await operations["event.delete"].run(DeleteEvents(before=datetime.now(UTC)), CALL)
        assert gone.deleted == 2
        [told] = (await operations["event.list"].run(ListEvents(), CALL)).events
        assert (told.event_type, told.actor, told.request_id) == ("event.deleted", "tester", "req-1")
