"""The same promises on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from att.event.log import EventLog, record
from att.event.models import DeleteEvents, ListEvents, Order
from att.problems import ProjectNotFound
from att.project.errors import ProjectExists
from att.project.models import CreateProject, ProjectStatus
from att.project.projects import Projects
from att.store.errors import (
    DatabaseLocked,
    DatabaseTooNew,
    DatabaseUnreachable,
    DatabaseUnreadable,
    StoreClosed,
)
from att.store.facts import fact, set_fact
from att.store.store import open_store
from att.store.tables import SCHEMA, events, meta, tokens
from tests.att.rooms import CALL, Rooms, on_a_loop
from tests.att.store.postgres_server import database, frozen, server

pytestmark = pytest.mark.service
EVENT = {"event_type": "a.b", "payload": "{}", "timestamp": "2026", "actor": "x", "outcome": "ok"}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with server() as url:
        yield url


@pytest.fixture
def url(cluster: str) -> str:
    return database(cluster, f"att{next(numbers)}")


@asynccontextmanager
async def rooms(url: str, home: Path):  # type: ignore[no-untyped-def]
    store = await open_store(url, busy_timeout=1)
    log = EventLog(store)
    try:
        yield Rooms(home, store, log, Projects(store, log, home=home))
    finally:
        await log.aclose()
        await store.aclose()


@on_a_loop
async def test_what_was_written_is_there_after_a_restart(url: str) -> None:
    store = await open_store(url)
    await store.write(lambda c: set_fact(c, "a", {"b": 1}))
    await store.aclose()
    store = await open_store(url)
    assert await store.read(lambda c: fact(c, "a")) == {"b": 1}
    await store.aclose()
    with pytest.raises(StoreClosed):
        await store.read(lambda c: fact(c, "a"))
    with pytest.raises(StoreClosed):
        await store.write(lambda c: fact(c, "a"))


@on_a_loop
async def test_a_caller_who_fails_is_undone_alone(url: str) -> None:
    store = await open_store(url)

    def clash(connection: Connection) -> None:
        connection.execute(insert(meta).values(key="half", value="1"))
        connection.execute(insert(meta).values(key="half", value="1"))

    def put(connection: Connection) -> None:
        set_fact(connection, "whole", 1)

    asked = [store.write(put), store.write(clash), store.insert(insert(events), {**EVENT, "actor": None})]
    done, failed, broken, new = await asyncio.gather(
        *asked, store.insert(insert(events), EVENT), return_exceptions=True
    )
    assert done is None
    assert isinstance(failed, IntegrityError)
    assert isinstance(broken, IntegrityError)
    assert isinstance(new, int)
    assert await store.read(lambda c: (fact(c, "whole"), fact(c, "half"))) == (1, None)
    await store.aclose()


@on_a_loop
async def test_reading_cannot_write(url: str) -> None:
    store = await open_store(url)
    with pytest.raises(DatabaseUnreadable):
        await store.read(lambda c: set_fact(c, "a", 1))
    await store.aclose()


@on_a_loop
async def test_a_lock_of_another_is_a_problem_and_afterwards_all_goes_on(url: str, tmp_path: Path) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    async with rooms(url, tmp_path) as house:
        other = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        async with other.connect() as connection:
            await connection.execute(text("LOCK TABLE events IN EXCLUSIVE MODE"))
            with pytest.raises(DatabaseLocked):
                await house.events.append("a.b")
        await other.dispose()
        event = await house.events.append("a.b")
        assert (await house.events.page(ListEvents())).events == [event]


@on_a_loop
async def test_the_victim_of_a_deadlock_is_a_problem_and_afterwards_all_goes_on(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    store = await open_store(url)
    other = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with other.connect() as connection:
        await connection.execute(text("SET deadlock_timeout = '60s'"))  # ours sees it first
        await connection.execute(text("LOCK TABLE meta"))

        def cross(ours: Connection) -> None:
            ours.execute(text("LOCK TABLE events"))
            while not ours.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted")).scalar():
                pass  # each look waits for the server
            ours.execute(text("LOCK TABLE meta"))

        writing = asyncio.ensure_future(store.write(cross))
        held = text("SELECT 1 FROM pg_locks WHERE relation = 'events'::regclass AND mode LIKE 'AccessExcl%'")
        while not (await connection.execute(held)).scalar():
            pass
        await connection.execute(text("LOCK TABLE events"))  # given when ours is undone
        with pytest.raises(DatabaseLocked):
            await writing
    await other.dispose()
    await store.write(lambda c: set_fact(c, "a", 1))
    assert await store.read(lambda c: fact(c, "a")) == 1
    await store.aclose()


@on_a_loop
async def test_a_lost_connection_is_a_problem_and_the_next_write_finds_another(
    url: str, tmp_path: Path
) -> None:
    async with rooms(url, tmp_path) as house:
        await house.events.append("a.b")

        def end_all(connection: Connection) -> None:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                )
            )

        with pytest.raises(DatabaseUnreachable):
            await house.store.write(end_all)
        await house.events.append("a.b")
        assert len((await house.events.page(ListEvents())).events) == 2


@on_a_loop
async def test_a_server_that_answers_no_more_is_a_problem_and_is_used_when_it_does_again(url: str) -> None:
    store = await open_store(url, busy_timeout=0.3)
    await store.read(lambda c: fact(c, "a"))
    asked = [store.read(lambda c: fact(c, "a")) for _ in range(6)]  # more than there are connections
    asked += [store.write(lambda c: set_fact(c, "a", 1)) for _ in range(3)]
    with frozen(url):
        answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 30)
    assert {type(answer) for answer in answers} == {DatabaseUnreachable}
    await store.write(lambda c: set_fact(c, "a", 2))
    assert await store.read(lambda c: fact(c, "a")) == 2
    await store.aclose()


@on_a_loop
async def test_a_statement_without_an_end_is_undone_and_holds_nobody_up(url: str) -> None:
    store = await open_store(url, busy_timeout=0.5)
    for ask in (store.read, store.write):
        with pytest.raises(DatabaseLocked):
            await asyncio.wait_for(ask(lambda c: c.execute(text("SELECT pg_sleep(600)")).scalar()), 20)
    await store.write(lambda c: set_fact(c, "a", 2))
    await store.aclose()


@on_a_loop
async def test_no_server_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable) as told:
        await open_store(f"postgresql://ada:s3cret@/att?host={tmp_path}", busy_timeout=1)
    assert "s3cret" not in str(told.value.document())


@on_a_loop
async def test_a_newer_database_that_cannot_be_read_is_refused(url: str) -> None:
    store = await open_store(url)
    await store.write(lambda c: set_fact(c, "compatible_from", "0050"))
    await store.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '0099'")).rowcount)
    await store.aclose()
    with pytest.raises(DatabaseTooNew):
        await open_store(url)


@on_a_loop
async def test_migrations_make_the_same_tables_as_the_metadata(cluster: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy.ext.asyncio import create_async_engine

    from att.store.migrate import upgrade
    from att.store.tables import metadata

    empty = database(cluster, f"att{next(numbers)}")
    engine = create_async_engine(empty.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
        context = await connection.run_sync(
            lambda c: compare_metadata(MigrationContext.configure(c), metadata)
        )
        assert context == []
    await engine.dispose()
    store = await open_store(empty)  # and it is taken as it is
    await store.aclose()


@on_a_loop
async def test_an_older_database_is_brought_up_to_date_once_and_keeps_what_it_holds(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    from att.store.migrate import upgrade
    from att.store.schema import schema_of

    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, to="0001")
        kept = await connection.execute(insert(events).returning(events.c.id), EVENT)
        before = kept.scalar_one()
    await engine.dispose()
    stores = await asyncio.gather(*(open_store(url) for _ in range(3)))  # as of daemons that start together
    for store in stores:
        assert await store.read(schema_of) == SCHEMA
        assert await store.read(lambda c: c.execute(select(events.c.id)).scalars().all()) == [before]
        assert await store.read(lambda c: c.execute(select(tokens)).all()) == []
        await store.aclose()


@on_a_loop
async def test_followers_miss_nothing_of_what_two_daemons_write(url: str, tmp_path: Path) -> None:
    async with rooms(url, tmp_path) as one, rooms(url, tmp_path) as two:
        following = one.events.subscribe(0)
        total = 120

        async def write(house: Rooms) -> None:
            await asyncio.gather(*(house.events.append("a.b") for _ in range(total // 2)))

        async def read() -> list[int]:
            seen: list[int] = []
            async for event in following:
                seen.append(event.id)
                if len(seen) == total:
                    break
            return seen

        reading = asyncio.ensure_future(read())
        await asyncio.gather(write(one), write(two))
        await one.events.append("a.last")  # so that this daemon looks once more
        seen = await asyncio.wait_for(reading, 20)
        page = await one.events.page(ListEvents(order=Order.OLDEST, limit=1000))
        assert seen == [event.id for event in page.events][:total]
        await following.aclose()


@on_a_loop
async def test_pages_by_time_that_are_asked_for_at_once_hold_nobody_up(url: str, tmp_path: Path) -> None:
    async with rooms(url, tmp_path) as house:
        await house.events.append("a.b")
        ask = ListEvents(since=datetime.now(UTC) - timedelta(1))
        _, *pages = await asyncio.gather(
            house.events.prepare(), house.events.page(ask), house.events.page(ask)
        )
        assert [[event.event_type for event in page.events] for page in pages] == [["a.b"]] * 2


@on_a_loop
async def test_events_and_projects_work_the_same(url: str, tmp_path: Path) -> None:
    async with rooms(url, tmp_path) as house:
        await house.projects.create(CreateProject(name="demo", template="echo"), CALL)
        with pytest.raises(ProjectExists):
            await house.projects.create(CreateProject(name="Demo", template="echo"), CALL)
        assert (
            await house.projects.set_status("demo", ProjectStatus.RUNNING)
        ).status is ProjectStatus.RUNNING
        await house.store.write(
            lambda c: record(c, "runtime.started", project_id="demo", payload={"nul": "a\0b"})
        )
        for event_type in ("runtime.ready", "runtimes.odd"):
            await house.events.append(event_type, project_id="demo")
        page = await house.events.page(
            ListEvents(type=["runtime.*"], limit=1, since=datetime.now(UTC) - timedelta(1))
        )
        assert [event.event_type for event in page.events] == ["runtime.ready"]
        assert page.next_cursor is not None
        page = await house.events.page(ListEvents(type=["runtime.*"], cursor=page.next_cursor))
        assert [event.payload for event in page.events] == [{"nul": "a\0b"}]
        deleted = await house.events.delete(DeleteEvents(before=datetime.now(UTC)))
        assert deleted.deleted == 4
        assert [event.id for event in (await house.events.page(ListEvents())).events] == [deleted.event_id]
        await house.projects.delete("demo", CALL)
        with pytest.raises(ProjectNotFound):
            await house.projects.get("demo")
        assert await house.projects.recover() == []
