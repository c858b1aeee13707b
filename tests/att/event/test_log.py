"""Appending, listing, following and deleting events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from att.event.log import EventLog, record
from att.event.models import DeleteEvents, Event, ListEvents, Order, Outcome
from att.problems import BadCursor, ProjectNotFound
from att.store.errors import DatabaseLocked, StoreClosed
from att.store.tables import events as table
from tests.att.rooms import CALL, Rooms, on_a_loop, rooms
from tests.support import eventually


async def some(
    house: Rooms, count: int, event_type: str = "a.b", project_id: str | None = None
) -> list[Event]:
    return await asyncio.gather(
        *(house.events.append(event_type, project_id=project_id, payload={"n": n}) for n in range(count))
    )


def ids(events: list[Event]) -> list[int]:
    return [event.id for event in events]


@on_a_loop
async def test_an_event_is_listed_as_it_was_appended(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        event = await house.events.append(
            "runtime.failed",
            project_id="demo",
            payload={"reason": "port in use", "pid": 7},
            actor="ada",
            request_id="r1",
            outcome=Outcome.FAILED,
        )
        page = await house.events.page(ListEvents())
        assert page.events == [event]
        assert Event.model_validate_json(event.model_dump_json()) == event
        assert abs(datetime.fromisoformat(event.timestamp) - datetime.now(UTC)) < timedelta(minutes=1)


@on_a_loop
async def test_a_recorded_event_stands_or_falls_with_its_transaction(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:

        def falls(connection):  # type: ignore[no-untyped-def]
            record(connection, "a.falls")
            raise KeyError("so it ends")

        with pytest.raises(KeyError):
            await house.store.write(falls)
        stands = await house.store.write(lambda c: record(c, "a.stands", payload={"token": "t0p"}))
        assert await house.told("*") == [stands]
        assert stands.payload == {"token": "***"}


@pytest.mark.parametrize("wrong", ["", "A.b", "a..b", "a b", "a.b.", "x" * 65])
@on_a_loop
async def test_a_wrong_type_is_a_fault_of_the_program(tmp_path: Path, wrong: str) -> None:
    async with rooms(tmp_path) as house:
        with pytest.raises(ValueError, match="no type of event"):
            await house.events.append(wrong)


@on_a_loop
async def test_types_are_chosen_exactly_or_by_their_first_word(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        for event_type in (
            "runtime.started",
            "runtime.ready",
            "runtimes.odd",
            "runtime",
            "test.run",
            "git.pr.merged",
        ):
            await house.events.append(event_type)

        async def found(*types: str) -> list[str]:
            page = await house.events.page(ListEvents(type=list(types), order=Order.OLDEST))
            return [event.event_type for event in page.events]

        assert await found("runtime.*") == ["runtime.started", "runtime.ready"]
        assert await found("runtime.ready") == ["runtime.ready"]
        assert await found("test.*", "git.pr.*") == ["test.run", "git.pr.merged"]
        assert len(await found("*")) == len(await found()) == 6
        assert await found("nothing.*") == []


@on_a_loop
async def test_pages_go_both_ways_in_both_orders_and_leave_nothing_out(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        await some(house, 25, project_id="demo")
        await some(house, 5, project_id="other")
        for order in Order:
            seen, cursor, backwards = [], None, []
            while True:
                ask = ListEvents(project_id="demo", order=order, limit=7, cursor=cursor)
                page = await house.events.page(ask)
                seen += ids(page.events)
                backwards.append(page.previous_cursor)
                if page.next_cursor is None:
                    break
                cursor = page.next_cursor
            assert seen == sorted(range(1, 26), reverse=order is Order.NEWEST)
            back = await house.events.page(
                ListEvents(project_id="demo", order=order, limit=7, cursor=backwards[-1])
            )
            assert ids(back.events) == seen[14:21]
            assert back.next_cursor is not None
            before = await house.events.page(
                ListEvents(project_id="demo", order=order, limit=7, cursor=backwards[0])
            )
            assert before.events == []


@on_a_loop
async def test_a_page_stays_right_while_events_are_added(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        await some(house, 10)
        first = await house.events.page(ListEvents(limit=5))
        await some(house, 10)
        second = await house.events.page(ListEvents(limit=5, cursor=first.next_cursor))
        assert ids(first.events) + ids(second.events) == list(range(10, 0, -1))
        newer = await house.events.page(ListEvents(limit=50, cursor=first.previous_cursor))
        assert ids(newer.events) == list(range(20, 10, -1))


@on_a_loop
async def test_times_bound_the_list_also_when_a_clock_was_set_back(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        await some(house, 4)
        for number, minute in enumerate((10, 20, 5, 30), start=1):
            moment = f"2026-01-01T00:{minute:02}:00.000000Z"
            await house.store.write(
                lambda c, n=number, m=moment: (
                    c.execute(update(table).where(table.c.id == n).values(timestamp=m)).rowcount
                )
            )

        async def between(since: int | None, until: int | None) -> list[int]:
            start = datetime(2026, 1, 1, tzinfo=UTC)
            page = await house.events.page(
                ListEvents(
                    since=None if since is None else start + timedelta(minutes=since),
                    until=None if until is None else start + timedelta(minutes=until),
                    order=Order.OLDEST,
                )
            )
            return ids(page.events)

        assert await between(10, 30) == [1, 2]
        assert await between(5, 11) == [1, 3]
        assert await between(20, None) == [2, 4]
        assert await between(None, 10) == [3]
        assert await between(31, None) == []


@on_a_loop
async def test_when_all_events_were_is_known_before_the_first_page_by_time_is_asked_for(
    tmp_path: Path,
) -> None:
    async with rooms(tmp_path) as house:
        made = await some(house, 4)
        await house.events.prepare()
        assert house.events._zones.known == max(event.id for event in made)
        later = await house.events.append("a.b")
        page = await house.events.page(ListEvents(since=datetime.fromisoformat(later.timestamp)))
        assert later in page.events


@pytest.mark.parametrize("cursor", ["", "7", "c7", "b", "b-1", "b1 ", "a" + "9" * 19, "b٣"])
@on_a_loop
async def test_a_bad_cursor_is_told(tmp_path: Path, cursor: str) -> None:
    async with rooms(tmp_path) as house:
        with pytest.raises(BadCursor) as told:
            await house.events.page(ListEvents(cursor=cursor))
        assert told.value.extra["fields"][0]["field"] == "cursor"


@on_a_loop
async def test_followers_get_every_event_once_from_wherever_they_begin(tmp_path: Path) -> None:
    async with rooms(tmp_path, window=20) as house:  # a small one: most of them fall behind it
        await some(house, 100)

        async def follow(after: int) -> list[int]:
            seen: list[int] = []
            async with aclosing(house.events.follow(after)) as blocks:
                async for block in blocks:
                    seen += ids(block)
                    if seen[-1] == 600:
                        break
            return seen

        following = [asyncio.ensure_future(follow(after)) for after in (0, 1, 50, 99, 100)]
        for _ in range(50):
            await some(house, 10)
        seen = await asyncio.wait_for(asyncio.gather(*following), 20)
        for after, got in zip((0, 1, 50, 99, 100), seen, strict=True):
            assert got == list(range(after + 1, 601))


@on_a_loop
async def test_a_follower_who_stops_reading_holds_nothing_and_slows_nobody(tmp_path: Path) -> None:
    async with rooms(tmp_path, window=10) as house:
        stuck = house.events.follow(0)
        await some(house, 1)
        assert ids(await anext(stuck)) == [1]
        await some(house, 2000)
        quick = house.events.follow(2000)
        assert ids(await asyncio.wait_for(anext(quick), 5)) == [2001]
        assert len(house.events._window._events) <= 20 + 500  # what one reading brings is cut at the next
        rest: list[int] = []
        while len(rest) < 2000:
            rest += ids(await anext(stuck))
        assert rest == list(range(2, 2002))
        await stuck.aclose()
        await quick.aclose()


@on_a_loop
async def test_followers_choose_by_project_and_type(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        follower = house.events.subscribe(0, project_id="demo", types=["runtime.*"])
        for project_id in ("demo", "other"):
            for event_type in ("runtime.ready", "test.run"):
                await house.events.append(event_type, project_id=project_id)
        assert (await anext(follower)).id == 1
        waiting = asyncio.ensure_future(anext(follower))
        await house.events.append("runtime.ready", project_id="other")
        event = await house.events.append("runtime.stopped", project_id="demo")
        assert await asyncio.wait_for(waiting, 5) == event
        await follower.aclose()


@on_a_loop
async def test_without_an_id_it_follows_from_now_on_and_a_future_id_means_the_same(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        await some(house, 3)
        for after in (None, 10_000):
            follower = house.events.follow(after)
            waiting = asyncio.ensure_future(anext(follower))
            await eventually(lambda: house.events._refresher is not None)
            event = await house.events.append("a.b")
            assert await asyncio.wait_for(waiting, 5) == [event]
            await follower.aclose()


@on_a_loop
async def test_nothing_is_read_while_nobody_follows(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        follower = house.events.follow(0)
        await some(house, 3)
        await anext(follower)
        await follower.aclose()
        assert house.events._refresher is None
        await some(house, 3)
        again = house.events.follow(3)
        assert ids(await anext(again)) == [4, 5, 6]
        await again.aclose()


@on_a_loop
async def test_closing_ends_the_followers(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:

        async def whole(into: list[int]) -> None:
            async for event in house.events.subscribe(0):
                into += [event.id]

        told: list[list[int]] = [[] for _ in range(5)]
        following = [asyncio.ensure_future(whole(each)) for each in told]
        await some(house, 3)
        await eventually(lambda: told == [[1, 2, 3]] * 5)
        await house.events.aclose()
        await asyncio.wait_for(asyncio.gather(*following), 5)
        late: list[int] = []
        await asyncio.wait_for(whole(late), 5)
        assert late == []


@on_a_loop
async def test_a_store_that_fails_ends_the_followers_with_its_problem(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        waiting = asyncio.ensure_future(anext(house.events.follow()))
        await eventually(lambda: house.events._refresher is not None)
        await house.store.aclose()
        house.events._committed.set()
        with pytest.raises(StoreClosed):
            await asyncio.wait_for(waiting, 5)


@on_a_loop
async def test_a_long_poll_answers_with_what_comes_or_when_its_time_is_over(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        [first] = await some(house, 1)
        assert (await house.events.after(0)).events == [first]
        nothing = await house.events.after(None, wait=0.01)
        assert (nothing.events, nothing.last_id) == ([], 1)
        polling = asyncio.ensure_future(house.events.after(1, wait=30))
        await eventually(lambda: house.events._refresher is not None)
        second = await house.events.append("a.b")
        answer = await asyncio.wait_for(polling, 5)
        assert (answer.events, answer.last_id) == ([second], 2)


@on_a_loop
async def test_a_deletion_takes_what_is_older_and_is_itself_told(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        await some(house, 5, project_id="demo")
        await some(house, 5, project_id="other")
        middle = datetime.now(UTC)
        kept = await some(house, 3, project_id="demo")
        done = await house.events.delete(
            DeleteEvents(before=middle, project_id="demo"), actor=CALL.actor, request_id=CALL.request_id
        )
        assert done.deleted == 5
        told = await house.told("*")
        assert ids(told) == [6, 7, 8, 9, 10, *ids(kept), done.event_id]
        deletion = told[-1]
        assert (deletion.event_type, deletion.actor, deletion.request_id) == (
            "event.deleted",
            "tester",
            "req-1",
        )
        assert deletion.payload["deleted"] == 5
        all_gone = await house.events.delete(DeleteEvents(before=datetime.now(UTC) + timedelta(days=1)))
        assert all_gone.deleted == 9
        assert ids(await house.told("*")) == [all_gone.event_id]


@on_a_loop
async def test_many_are_deleted_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("att.event.deletion.PART", 100)
    async with rooms(tmp_path) as house:
        await some(house, 950)
        done = await house.events.delete(DeleteEvents(before=datetime.now(UTC)))
        assert done.deleted == 950
        assert ids(await house.told("*")) == [951]


@on_a_loop
async def test_what_was_deleted_is_not_handed_to_followers(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        awake = house.events.follow(0)
        await some(house, 5)
        await anext(awake)
        await house.events.delete(DeleteEvents(before=datetime.now(UTC)))
        late = house.events.follow(0)
        assert [event.event_type for event in await anext(late)] == ["event.deleted"]
        await awake.aclose()
        await late.aclose()


@on_a_loop
async def test_events_of_an_unknown_project_are_not_found(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        with pytest.raises(ProjectNotFound):
            await house.events.require_project("nobody")


@on_a_loop
async def test_an_event_that_cannot_be_kept_is_a_problem(tmp_path: Path) -> None:
    import sqlite3

    async with rooms(tmp_path) as house:
        other = sqlite3.connect(tmp_path / "att.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseLocked):
            await house.events.append("a.b")
        other.execute("ROLLBACK")
        other.close()
        assert (await house.events.append("a.b")).id == 1


@on_a_loop
async def test_events_of_a_later_release_are_listed(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        row = {"event_type": "new.kind", "payload": "{}", "timestamp": "2026-01-01T00:00:00.000000Z"}
        await house.store.insert(insert(table), {**row, "actor": "x", "outcome": "ok"})
        assert [event.event_type for event in await house.told("*")] == ["new.kind"]


@on_a_loop
async def test_two_logs_on_one_store_hear_each_other(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        second = EventLog(house.store)
        follower = second.follow(0)
        event = await house.events.append("a.b")
        assert await asyncio.wait_for(anext(follower), 5) == [event]
        await follower.aclose()
        await second.aclose()
