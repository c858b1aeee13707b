"""The event log: appends by 32 callers, each on disk before it is acknowledged; pages by project, type and time over a million.

    python scripts/bench/events.py [--rounds 5] [--events 20000] [--stored 1000000] [--pages 1000]

The appends are set against raw sqlite3 in the same run, which commits 32 rows at a time to the same table with
`synchronous=FULL`: what group commit can reach here. The pages are set against the bare SQL of each page on a connection of its
own, and against a reading of nothing, which tells what the machine allows at that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import interleave, median, percentile, show

from att.event.log import EventLog
from att.event.models import ListEvents
from att.store.store import open_store

CALLERS = 32
ROW = "INSERT INTO events(event_type, project_id, payload, timestamp, actor, request_id, outcome) VALUES (?, ?, ?, ?, ?, ?, ?)"
PAYLOAD = {"path": "src/app/register.py", "bytes": 1234, "etag": "0123456789abcdef0123456789abcdef"}
TEXT = '{"path":"src/app/register.py","bytes":1234,"etag":"0123456789abcdef0123456789abcdef"}'
BEGIN, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 90
PROJECTS, TYPES = 50, 20


def moment(share: float) -> datetime:
    return BEGIN + timedelta(days=DAYS * share)


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _appends(folder: Path, count: int, latencies: list[float]) -> float:
    store = await open_store(str(folder / "att.db"))
    events = EventLog(store)

    async def caller() -> None:
        for _ in range(count // CALLERS):
            begun = time.perf_counter()
            await events.append(
                "code.changed", project_id="demo", payload=PAYLOAD, actor="bench", request_id="r"
            )
            latencies.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    seconds = time.perf_counter() - begun
    await events.aclose()
    await store.aclose()
    return count / seconds


def appends(count: int, latencies: list[float]) -> float:
    """Acknowledged events a second, by 32 callers."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_appends(Path(folder), count, latencies))


async def _made(folder: Path) -> Path:
    store = await open_store(str(folder / "att.db"))
    await store.aclose()
    return folder / "att.db"


def raw(count: int) -> float:
    """Rows a second, 32 a commit, by sqlite3 alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = asyncio.run(_made(Path(folder)))
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous=FULL")
            row = ("code.changed", "demo", TEXT, text(BEGIN), "bench", "r", "ok")
            begun = time.perf_counter()
            for _ in range(count // CALLERS):
                database.execute("BEGIN IMMEDIATE")
                for _ in range(CALLERS):
                    database.execute(ROW, row)
                database.execute("COMMIT")
            return count / (time.perf_counter() - begun)


def fill(path: Path, count: int) -> None:
    """Events of 90 days: a few projects have most of them."""
    dice = random.Random(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("BEGIN")
        database.executemany(
            ROW,
            (
                (
                    f"kind{dice.randrange(TYPES)}.happened",
                    f"p{int(dice.paretovariate(0.7)) % PROJECTS}",
                    TEXT,
                    text(moment(number / count)),
                    "bench",
                    "r",
                    "ok",
                )
                for number in range(count)
            ),
        )
        database.execute("COMMIT")


def asks(count: int) -> list[ListEvents]:
    """Pages of any project and type, over a day up to all of the time."""
    dice = random.Random(2)
    found = []
    for _ in range(count):
        length = dice.choice((1, 7, 30, 90)) / DAYS
        start = dice.random() * (1 - length)
        found.append(
            ListEvents(
                project_id=f"p{dice.randrange(1, 6)}",
                type=[f"kind{dice.randrange(TYPES)}.happened"],
                since=moment(start),
                until=moment(start + length),
            )
        )
    return found


async def pages(path: Path, wanted: list[ListEvents]) -> tuple[float, float, list[float], list[float]]:
    """Seconds of what a daemon does beside its start, of the first page of a life, of each of the others, and of readings of
    nothing between them."""
    store = await open_store(str(path))
    events = EventLog(store)
    begun = time.perf_counter()
    await events.prepare()
    prepared = time.perf_counter() - begun
    seconds, floor = [], []
    for ask in wanted:
        begun = time.perf_counter()
        await events.page(ask)
        seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        await store.read(lambda _: None)
        floor.append(time.perf_counter() - begun)
    await events.aclose()
    await store.aclose()
    return prepared, seconds[0], seconds[1:], floor


def bare(path: Path, wanted: list[ListEvents]) -> list[float]:
    """The same pages in SQL, each by the index of project and type."""
    query = (
        "SELECT * FROM events INDEXED BY ix_events_project_type WHERE project_id = ? AND event_type = ?"
        " AND timestamp >= ? AND timestamp < ? ORDER BY id DESC LIMIT 101"
    )
    seconds = []
    with closing(sqlite3.connect(path)) as database:
        for ask in wanted:
            if ask.since is None or ask.until is None:
                continue
            begun = time.perf_counter()
            database.execute(
                query, (ask.project_id, ask.type[0], text(ask.since), text(ask.until))
            ).fetchall()
            seconds.append(time.perf_counter() - begun)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=20_000, help="appended in each round")
    parser.add_argument("--stored", type=int, default=1_000_000, help="among which pages are looked for")
    parser.add_argument("--pages", type=int, default=1000)
    given = parser.parse_args()
    latencies: list[float] = []
    seen = interleave(
        given.rounds, {"att": lambda: appends(given.events, latencies), "raw": lambda: raw(given.events)}
    )
    ours, limit = median(seen["att"]), median(seen["raw"])
    show(
        f"Appends by {CALLERS} callers at synchronous=FULL",
        [
            ["acknowledged events/s", f"{ours:,.0f}", "10,000"],
            ["best and worst round", f"{max(seen['att']):,.0f}, {min(seen['att']):,.0f}", ""],
            ["raw sqlite3, 32 a commit", f"{limit:,.0f}", ""],
            ["ratio", f"{ours / limit:.2f} x", ""],
            ["p99 of one append", f"{percentile(latencies, 0.99) * 1000:.1f} ms", ""],
        ],
        ["figure", "value", "aim"],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = asyncio.run(_made(Path(folder)))
        fill(path, given.stored)
        wanted = asks(given.pages)
        prepared, first, each, floor = asyncio.run(pages(path, wanted))
        alone = bare(path, wanted)
    columns = (each, alone, floor)
    rows: list[list[str]] = [
        [name, *(f"{measure(column) * 1000:.2f} ms" for column in columns), aim]
        for name, measure, aim in (
            ("p50", median, ""),
            ("p99", lambda column: percentile(column, 0.99), "10 ms"),
            ("slowest", max, ""),
        )
    ]
    rows.append(["first of a life", f"{first * 1000:.2f} ms", "", "", "10 ms"])
    rows.append(["beside the start", f"{prepared * 1000:.0f} ms", "", "", ""])
    title = f"Pages of 100 by project, type and time over {given.stored:,} events"
    show(title, rows, ["figure", "att", "bare SQL, one index", "reading nothing", "aim"])


if __name__ == "__main__":
    main()
