"""Events in SQL: how one is written, how they are found, and what a page's cursor means.

A cursor is `b17` (before event 17) or `a17` (after it), so that a page is found by id and stays right while
events are added. A range of times is first turned into a range of ids (`att.event.zones`): then the page itself
is found by one index, needs no sorting, and skips what is newer, even where a clock was once set back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select

from att.event.models import Event, EventPage, ListEvents, Order, Outcome
from att.event.payload import clean_and_encode
from att.event.zones import BLOCK, Zones
from att.problems import BadCursor
from att.store.tables import events
from att.store.times import now, stamp

APPEND = insert(events)

_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_CURSOR = re.compile(r"([ab])([0-9]{1,18})")
NO_MORE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as it will be kept, still without an id."""

    row: dict[str, Any]
    payload: dict[str, Any]

    def event(self, new_id: int) -> Event:
        row = {**self.row, "id": new_id, "payload": self.payload, "outcome": Outcome(self.row["outcome"])}
        return Event.model_construct(**row)


def draft(
    event_type: str,
    project_id: str | None,
    payload: Mapping[str, Any] | None,
    actor: str,
    request_id: str | None,
    outcome: Outcome,
) -> Draft:
    """What happens at this moment, without its secrets."""
    if not _TYPE.fullmatch(event_type) or len(event_type) > 64:
        raise ValueError(f"{event_type!r} is no type of event")
    kept, text = clean_and_encode(payload or {})
    row = {
        "event_type": event_type,
        "project_id": project_id,
        "payload": text,
        "timestamp": now(),
        "actor": _one_line(actor),
        "request_id": None if request_id is None else _one_line(request_id),
        "outcome": outcome.value,
    }
    return Draft(row, kept)


def event_of(row: Row[Any]) -> Event:
    return Event.model_construct(
        **{**row._mapping, "payload": json.loads(row.payload), "outcome": Outcome(row.outcome)}
    )


def fits(event: Event, project_id: str | None, types: Sequence[str]) -> bool:
    """The same choice as `chosen`, for an event at hand."""
    if project_id is not None and event.project_id != project_id:
        return False
    return not types or any(_matches(event.event_type, pattern) for pattern in types)


def _matches(event_type: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    return event_type.startswith(pattern[:-1]) if pattern.endswith(".*") else event_type == pattern


def chosen(project_id: str | None, types: Sequence[str]) -> list[ColumnElement[bool]]:
    """What an event must satisfy to be of this project and of one of these types."""
    conditions: list[ColumnElement[bool]] = []
    if project_id is not None:
        conditions.append(events.c.project_id == project_id)
    if types and "*" not in types:
        conditions.append(or_(*(_type_is(pattern) for pattern in types)))
    return conditions


def _type_is(pattern: str) -> ColumnElement[bool]:
    if not pattern.endswith(".*"):
        return events.c.event_type == pattern
    word = pattern[:-2]  # "/" is the character after "."
    return and_(events.c.event_type >= f"{word}.", events.c.event_type < f"{word}/")


def select_after(
    connection: Connection, after: int, project_id: str | None, types: Sequence[str], limit: int
) -> list[Event]:
    """The first `limit` events after an id."""
    query = (
        select(events)
        .where(events.c.id > after, *chosen(project_id, types))
        .order_by(events.c.id)
        .limit(limit)
    )
    return [event_of(row) for row in connection.execute(query)]


def select_newest(connection: Connection) -> int:
    return connection.execute(select(func.max(events.c.id))).scalar() or 0


def learn(connection: Connection, zones: Zones) -> None:
    """Tell `zones` of the events that it does not know yet."""
    newest, known = select_newest(connection), zones.known
    if newest <= known:
        return
    block = (events.c.id // BLOCK).label("block")
    query = (
        select(block, func.min(events.c.timestamp), func.max(events.c.timestamp))
        .where(events.c.id > known, events.c.id <= newest)
        .group_by(block)
    )
    zones.extend([(row[0], row[1], row[2]) for row in connection.execute(query)], newest)


def select_page(connection: Connection, ask: ListEvents, zones: Zones) -> EventPage:
    """The page that `ask` wants; `BadCursor` when its cursor is none. A range of times needs `learn` before."""
    towards_older, bound = _start(ask.cursor, ask.order)
    conditions = chosen(ask.project_id, ask.type)
    conditions += _in_time(ask, zones)
    conditions.append(events.c.id < bound if towards_older else events.c.id > bound)
    direction = events.c.id.desc() if towards_older else events.c.id.asc()
    query = select(events).where(*conditions).order_by(direction).limit(ask.limit + 1)
    found = [event_of(row) for row in connection.execute(query)]
    more, found = len(found) > ask.limit, found[: ask.limit]
    goes_on = towards_older == (ask.order is Order.NEWEST)
    if not goes_on:
        found.reverse()
    onward, back = ("b", "a") if ask.order is Order.NEWEST else ("a", "b")
    return EventPage(
        events=found,
        next_cursor=f"{onward}{found[-1].id}" if found and (more or not goes_on) else None,
        previous_cursor=f"{back}{found[0].id}" if found else None,
    )


def _start(cursor: str | None, order: Order) -> tuple[bool, int]:
    """Whether to read towards older events, and from which id (not itself)."""
    if cursor is None:
        return (True, NO_MORE) if order is Order.NEWEST else (False, 0)
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise BadCursor(
            f"{cursor!r} is no cursor of a list of events.",
            fields=[{"field": "cursor", "message": "not a cursor"}],
        )
    return parts[1] == "b", int(parts[2])


def _in_time(ask: ListEvents, zones: Zones) -> list[ColumnElement[bool]]:
    since = None if ask.since is None else stamp(ask.since)
    until = None if ask.until is None else stamp(ask.until)
    if since is None and until is None:
        return []
    first, last = zones.ids(since, until) or (0, 0)
    conditions: list[ColumnElement[bool]] = [events.c.id.between(first, last)]
    if since is not None:
        conditions.append(events.c.timestamp >= since)
    if until is not None:
        conditions.append(events.c.timestamp < until)
    return conditions


def _one_line(text: str) -> str:
    if text.isprintable() and len(text) <= 200:
        return text
    return " ".join(text.encode("utf-8", "replace").decode().replace("\0", " ").split())[:200]
