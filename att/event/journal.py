"""The launcher's journal as events: each entry of `launcher.ndjson` becomes one event `launcher.*`, once, whoever lived meanwhile.
What it tells of a release becomes one of `release.*` besides.

How far it was read is kept in the store, in the very transaction that writes the events. A file that is another one, or shorter
than what was read of it, is read from its beginning; entries that are known by number and time are passed over.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Connection

from att import plain
from att.event.log import record
from att.event.models import Outcome
from att.problems import Problem
from att.release.journal import event_of
from att.store.facts import fact, set_fact
from att.store.store import Store

POSITION = "launcher.journal"
BLOCK = 1 << 18
FAILED = frozenset(
    {"failed", "rolled_back", "safe_mode", "unhealthy", "standby_lost", "switch_refused", "missing"}
)
_WORD = re.compile(r"[a-z][a-z0-9_]{0,50}")
_log = structlog.get_logger("att.event")

Entry = dict[str, Any]


class Position(NamedTuple):
    """How far was read: in which file, up to which byte, and the last entry there."""

    inode: int = 0
    offset: int = 0
    number: int = 0
    at: str = ""


class Journal:
    """`poke` when there may be something new; `run` until it is cancelled."""

    def __init__(self, path: Path, store: Store) -> None:
        self._path, self._store = path, store
        self._news = asyncio.Event()
        self._news.set()

    def poke(self) -> None:
        self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while await self.take():
                    pass
            except Problem as problem:  # the store's own: what was not taken is taken at the next poke
                _log.warning("journal_not_taken", code=problem.code, detail=problem.detail)

    async def take(self) -> int:
        """Takes the next block; how many bytes it had."""
        position = await self._store.read(lambda connection: Position(*(fact(connection, POSITION) or ())))
        data, position = await asyncio.to_thread(read, self._path, position)
        if not data:
            return 0
        entries, after = parse(data, position)
        await self._store.write(keep(entries, after))
        return len(data)


def read(path: Path, position: Position) -> tuple[bytes, Position]:
    """Whole lines after the position, and the position where they begin."""
    try:
        with plain.opened(path) as file:
            found = os.fstat(file.fileno())
            if (found.st_ino, True) != (position.inode, found.st_size >= position.offset):
                position = position._replace(inode=found.st_ino, offset=0)
            file.seek(position.offset)
            data = file.read(BLOCK)
    except OSError:
        return b"", position
    end = data.rfind(b"\n") + 1
    if end == 0 and len(data) == BLOCK:
        end = BLOCK  # no entry is that long: passed over
    return data[:end], position


def parse(data: bytes, position: Position) -> tuple[list[Entry], Position]:
    """The entries that are new, and the position after them."""
    entries = []
    for line in data.split(b"\n"):
        entry = _entry(line)
        if entry is None:
            continue
        number, at = entry["n"], str(entry.get("at", ""))
        if number <= position.number and at <= position.at:
            continue
        position = position._replace(number=number, at=at)
        entries.append(entry)
    return entries, position._replace(offset=position.offset + len(data))


def _entry(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("n"), int):
        return None
    return entry if _WORD.fullmatch(str(entry.get("event"))) else None


def keep(entries: list[Entry], after: Position) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        for entry in entries:
            outcome = Outcome.FAILED if entry["event"] in FAILED else Outcome.OK
            payload = {key: value for key, value in entry.items() if key != "event"}
            record(
                connection, f"launcher.{entry['event']}", payload=payload, actor="launcher", outcome=outcome
            )
            if (told := event_of(entry)) is not None:
                name, about, well = told
                ended = Outcome.OK if well else Outcome.FAILED
                record(connection, name, payload=about, actor="launcher", outcome=ended)
        set_fact(connection, POSITION, list(after))

    return work
