"""kill -9 of a process while many callers append: what was acknowledged is there afterwards, and the database is sound."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon import ROOT
from tests.support import unmeasured

# Appends for ever; says the id of each event that was acknowledged, and its own number.
WRITER = """
import asyncio, sys
from att.event.log import EventLog
from att.store.store import open_store

async def main():
    store = await open_store(sys.argv[1])
    events = EventLog(store)
    async def caller(who):
        number = 0
        while True:
            number += 1
            made = await events.append("a.b", project_id="p", payload={"who": who, "number": number})
            print(made.id, who, number, flush=True)
    await asyncio.gather(*(caller(who) for who in range(16)))

asyncio.run(main())
"""


def acknowledged(database: Path, chance: random.Random) -> set[tuple[int, int, int]]:
    """What a writer was told to be on disk before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(database)],
        cwd=ROOT,
        env=unmeasured() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout as said:
        first = said.readline()
        time.sleep(chance.uniform(0.0, 0.15))  # a moment of its own is what is tried here
        process.kill()
        lines = (first + said.read()).split(b"\n")[:-1]
    process.wait()
    return {(int(a), int(b), int(c)) for a, b, c in (line.split() for line in lines)}


def kept(database: Path) -> tuple[str, set[tuple[int, int, int]]]:
    query = "SELECT id, json_extract(payload, '$.who'), json_extract(payload, '$.number') FROM events"
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute("PRAGMA integrity_check").fetchone()[0], set(opened.execute(query))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_no_acknowledged_event_is_lost(tmp_path: Path, rounds: int) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance, database, told = random.Random(seed), tmp_path / "att.db", set[tuple[int, int, int]]()
    for _ in range(rounds):
        told |= acknowledged(database, chance)
        sound, found = kept(database)
        assert sound == "ok"
        assert told <= found
    assert len({number for number, _, _ in told}) == len(told) >= rounds
    print(f"{len(told)} events were acknowledged, all are there")
