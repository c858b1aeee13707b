"""Deleting old events in parts, so that other writers wait no longer than for one part."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, func, select

from att.store.tables import events

PART = 20_000


def count_before(connection: Connection, before: str, project_id: str | None) -> int:
    """How many events happened before that time."""
    return connection.execute(
        select(func.count()).select_from(events).where(*_old(before, project_id))
    ).scalar_one()


def delete_before(connection: Connection, before: str, project_id: str | None) -> int:
    """Delete the oldest of them, at most a part; how many that were."""
    oldest = select(events.c.id).where(*_old(before, project_id)).order_by(events.c.id).limit(PART)
    return connection.execute(delete(events).where(events.c.id.in_(oldest))).rowcount


def _old(before: str, project_id: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [events.c.timestamp < before]
    if project_id is not None:
        conditions.append(events.c.project_id == project_id)
    return conditions
