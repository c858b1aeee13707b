"""What the store promises, on SQLite."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from att.problems import Problem
from att.store.errors import DatabaseLocked, DatabaseUnreadable, DiskFull, StoreBusy, StoreClosed
from att.store.facts import fact, set_fact
from att.store.sqlite import SqliteStore
from att.store.store import open_store
from att.store.tables import events, meta
from tests.att.rooms import on_a_loop
from tests.support import eventually

EVENT = {"event_type": "a.b", "payload": "{}", "timestamp": "2026", "actor": "x", "outcome": "ok"}
APPEND = insert(events)


def put(key: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        set_fact(connection, key, key)
        return key

    return work


def keys(connection: Connection) -> set[str]:
    return set(connection.execute(select(meta.c.key).where(meta.c.key != "compatible_from")).scalars())


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(events)).scalar_one()


@on_a_loop
async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    assert await store.write(put("a")) == "a"
    await store.aclose()
    store = await open_store(str(tmp_path / "att.db"))
    assert await store.read(lambda c: fact(c, "a")) == "a"
    await store.aclose()


@on_a_loop
async def test_a_caller_who_fails_is_undone_alone(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))

    def bad(connection: Connection) -> None:
        set_fact(connection, "half", 1)
        raise KeyError("mine")

    def twice(connection: Connection) -> None:
        connection.execute(insert(meta).values(key="twice", value="1"))
        connection.execute(insert(meta).values(key="twice", value="1"))

    tasks = [
        store.write(put("a")),
        store.write(bad),
        store.write(put("b")),
        store.write(twice),
        store.write(put("c")),
    ]
    a, failed, b, clash, c = await asyncio.gather(*tasks, return_exceptions=True)
    assert (a, b, c) == ("a", "b", "c")
    assert isinstance(failed, KeyError)
    assert isinstance(clash, IntegrityError)
    assert await store.read(keys) == {"a", "b", "c"}
    await store.aclose()


@on_a_loop
async def test_a_row_that_breaks_a_rule_hurts_no_other_row(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    rows = [EVENT, {**EVENT, "actor": None}, EVENT]
    first, broken, second = await asyncio.gather(
        *(store.insert(APPEND, row) for row in rows), return_exceptions=True
    )
    assert (first, second) == (1, 2)
    assert isinstance(broken, sqlite3.IntegrityError)
    assert await store.read(count) == 2
    await store.aclose()


@on_a_loop
async def test_ids_grow_and_are_not_given_again_after_a_deletion(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    ids = await asyncio.gather(*(store.insert(APPEND, EVENT) for _ in range(50)))
    assert list(ids) == list(range(1, 51))
    await store.write(lambda c: c.execute(events.delete()).rowcount)
    assert await store.insert(APPEND, EVENT) == 51
    await store.aclose()


@on_a_loop
async def test_reading_cannot_write(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    with pytest.raises(DatabaseUnreadable):
        await store.read(put("a"))
    assert await store.read(keys) == set()
    await store.aclose()


@on_a_loop
async def test_a_reading_sees_one_moment(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    seen, written = threading.Event(), threading.Event()

    def look_twice(connection: Connection) -> tuple[set[str], set[str]]:
        first = keys(connection)
        seen.set()
        assert written.wait(10)
        return first, keys(connection)

    looking = asyncio.ensure_future(store.read(look_twice))
    await eventually(seen.is_set)
    await store.write(put("a"))
    written.set()
    assert await looking == (set(), set())
    await store.aclose()


@on_a_loop
async def test_a_lock_of_another_process_is_a_problem_and_afterwards_all_goes_on(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"), busy_timeout=0.1)
    other = sqlite3.connect(tmp_path / "att.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answers = await asyncio.gather(store.write(put("a")), store.insert(APPEND, EVENT), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseLocked, DatabaseLocked]
    assert await store.read(keys) == set()  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    assert await store.write(put("a")) == "a"
    assert await store.read(keys) == {"a"}
    assert await store.read(count) == 0
    await store.aclose()


@on_a_loop
async def test_a_lock_that_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"), busy_timeout=20)
    other = sqlite3.connect(tmp_path / "att.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(store.write(put("a")))
    asyncio.get_running_loop().call_later(0.1, other.execute, "COMMIT")
    assert await waiting == "a"
    other.close()
    await store.aclose()


@on_a_loop
async def test_opening_a_locked_database_is_a_problem(tmp_path: Path) -> None:
    await (await open_store(str(tmp_path / "att.db"))).aclose()
    other = sqlite3.connect(tmp_path / "att.db", isolation_level=None)
    other.execute("PRAGMA locking_mode=exclusive")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseLocked):
        await open_store(str(tmp_path / "att.db"), busy_timeout=0.1)
    other.close()
    await (await open_store(str(tmp_path / "att.db"))).aclose()


@on_a_loop
async def test_a_full_disk_is_a_problem_and_space_mends_it(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    await store.insert(APPEND, EVENT)

    def limit(pages: int) -> Callable[[Connection], int]:
        return lambda c: int(c.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar_one())

    now = await store.write(lambda c: int(c.exec_driver_sql("PRAGMA page_count").scalar_one()))
    await store.write(limit(now))
    big = {**EVENT, "payload": "x" * 100_000}
    for full in (store.insert(APPEND, big), store.write(lambda c: c.execute(APPEND, big).rowcount)):
        with pytest.raises(DiskFull):
            await full
    assert await store.read(count) == 1
    await store.write(limit(1_000_000))
    assert await store.insert(APPEND, big) == 2
    await store.aclose()


@pytest.mark.parametrize("content", [b"this is not a database, but it is long enough to be looked at" * 20])
@on_a_loop
async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "att.db").write_bytes(content)
    with pytest.raises(DatabaseUnreadable, match="not an SQLite database"):
        await open_store(str(tmp_path / "att.db"))
    assert (tmp_path / "att.db").read_bytes() == content


@on_a_loop
async def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "att.db")
    other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    with pytest.raises(DatabaseUnreadable, match="recipes"):
        await open_store(str(tmp_path / "att.db"))
    assert sqlite3.connect(tmp_path / "att.db").execute("SELECT name FROM sqlite_master").fetchall() == [
        ("recipes",)
    ]


@on_a_loop
async def test_a_damaged_database_is_a_problem_at_each_question(tmp_path: Path) -> None:
    path = tmp_path / "att.db"
    store = await open_store(str(path))
    await asyncio.gather(*(store.insert(APPEND, {**EVENT, "payload": "x" * 2000}) for _ in range(200)))
    await store.aclose()
    raw = bytearray(path.read_bytes())
    raw[8192:] = b"\xa5" * (len(raw) - 8192)
    path.write_bytes(raw)
    with pytest.raises(DatabaseUnreadable):
        store = await open_store(str(path))
        try:
            await store.read(lambda c: c.execute(select(events)).all())
        finally:
            await store.aclose()


@on_a_loop
async def test_a_folder_in_place_of_the_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "att.db").mkdir()
    with pytest.raises(DatabaseUnreadable, match="cannot be opened"):
        await open_store(str(tmp_path / "att.db"))


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
@on_a_loop
async def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "att.db").touch(mode=0)
    with pytest.raises(DatabaseUnreadable, match="cannot be opened"):
        await open_store(str(tmp_path / "att.db"))


@on_a_loop
async def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "new" / "att.db"))
    await store.write(put("a"))
    for file in (tmp_path / "new").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await store.aclose()


@on_a_loop
async def test_closing_finishes_what_was_accepted_and_refuses_the_rest(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    accepted = [asyncio.ensure_future(store.insert(APPEND, EVENT)) for _ in range(500)]
    await asyncio.sleep(0)  # they run up to where they wait
    await store.aclose()
    assert len(await asyncio.gather(*accepted)) == 500
    with pytest.raises(StoreClosed):
        await store.insert(APPEND, EVENT)
    with pytest.raises(StoreClosed):
        await store.read(count)
    await store.aclose()  # again does no harm
    assert sqlite3.connect(tmp_path / "att.db").execute("SELECT count(*) FROM events").fetchone() == (500,)


@on_a_loop
async def test_more_writes_than_there_is_room_for_are_refused(tmp_path: Path) -> None:
    store = await SqliteStore.open(str(tmp_path / "att.db"), waiting_limit=5)
    hold = threading.Event()
    first = asyncio.ensure_future(store.write(lambda _: hold.wait(10)))
    rest = [asyncio.ensure_future(store.insert(APPEND, EVENT)) for _ in range(6)]
    await eventually(rest[-1].done)
    hold.set()
    assert await first is True
    answers = await asyncio.gather(*rest, return_exceptions=True)
    assert [type(answer) for answer in answers] == [int] * 4 + [StoreBusy] * 2
    assert await store.insert(APPEND, EVENT) == 5
    await store.aclose()


@on_a_loop
async def test_a_cancelled_caller_holds_up_nobody(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    hold = threading.Event()
    first = asyncio.ensure_future(store.write(lambda _: hold.wait(10)))
    gone = asyncio.ensure_future(store.write(put("gone")))
    stays = asyncio.ensure_future(store.write(put("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    hold.set()
    assert (await first, await stays) == (True, "stays")
    assert gone.cancelled()
    await store.aclose()


@on_a_loop
async def test_watchers_hear_of_each_commit_until_they_leave(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    heard: list[int] = []
    leave = store.watch(lambda: heard.append(1))
    await store.write(put("a"))
    await eventually(lambda: heard)
    with pytest.raises(KeyError):
        await store.write(lambda _: {}["nothing"])
    leave()
    await store.write(put("b"))
    assert heard == [1]
    await store.aclose()


@on_a_loop
async def test_it_writes_to_the_disk_before_it_answers(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    assert await store.write(lambda c: c.exec_driver_sql("PRAGMA synchronous").scalar_one()) == 2  # FULL
    assert await store.write(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar_one()) == "wal"
    await store.aclose()


@on_a_loop
async def test_fifty_times_open_and_close_leave_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    async def once() -> None:
        store = await open_store(str(tmp_path / "att.db"))
        await store.write(put("a"))
        await store.read(keys)
        await store.aclose()

    await once()
    before = (len(os.listdir("/dev/fd")), set(threading.enumerate()))
    for _ in range(50):
        await once()
    left = {thread.name for thread in set(threading.enumerate()) - before[1]}
    assert not {name for name in left if name.startswith("store")}
    assert len(os.listdir("/dev/fd")) <= before[0]


@pytest.mark.parametrize("life", range(3))
def test_a_kill_loses_no_acknowledged_event(tmp_path: Path, life: int) -> None:
    where = tmp_path / "att.db"
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.att.store.life", str(where)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(300 * (life + 1))]
    writer.send_signal(signal.SIGKILL)
    whole, _, _cut = ("".join(said) + writer.stdout.read()).rpartition("\n")
    writer.wait()
    acknowledged = {tuple(map(int, line.split())) for line in whole.splitlines()}
    database = sqlite3.connect(where)
    kept = set(
        database.execute("SELECT id, payload ->> '$.caller', payload ->> '$.count' FROM events").fetchall()
    )
    assert len(acknowledged) >= len(said)
    assert acknowledged <= kept
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@on_a_loop
async def test_every_problem_has_a_code_and_a_hint(tmp_path: Path) -> None:
    kinds: list[type[Problem]] = [DatabaseLocked, DatabaseUnreadable, DiskFull, StoreBusy, StoreClosed]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.hint != Problem.hint for kind in kinds)
