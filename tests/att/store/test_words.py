"""Small words of the store: times, facts, and telling exceptions apart."""

from __future__ import annotations

import errno
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.problems import Problem
from att.store.errors import (
    DatabaseLocked,
    DatabaseUnreachable,
    DatabaseUnreadable,
    DiskFull,
    problem_of,
)
from att.store.facts import fact, set_fact
from att.store.store import open_store
from att.store.times import now, stamp
from tests.att.rooms import on_a_loop

moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.timezones())  # noqa: DTZ001


@given(moments, moments)
def test_the_order_of_times_as_text_is_their_order(first: datetime, second: datetime) -> None:
    one, two = stamp(first), stamp(second)
    assert len(one) == len(two) == 27
    assert (one < two) == (first.astimezone(UTC) < second.astimezone(UTC))
    assert datetime.fromisoformat(one) == first.astimezone(UTC)


def test_times_are_in_utc_and_know_it() -> None:
    zone = timezone(timedelta(hours=2))
    assert stamp(datetime(2026, 11, 21, 3, 2, 3, 456789, zone)) == "2026-11-21T01:02:03.456789Z"
    assert abs(datetime.fromisoformat(now()) - datetime.now(UTC)) < timedelta(seconds=5)
    with pytest.raises(ValueError, match="zone"):
        stamp(datetime(2026, 1, 1))  # noqa: DTZ001


@on_a_loop
async def test_a_fact_is_kept_changed_and_forgotten(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path / "att.db"))
    for value in ({"a": [1, None, "ü"]}, False, 0, "", None, "again", None, None):
        await store.write(lambda c, v=value: set_fact(c, "k", v))  # type: ignore[misc]
        assert await store.read(lambda c: fact(c, "k")) == value
    await store.aclose()


class Postgres(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("it said so\nand more")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Postgres("53100"), DiskFull),
        (Postgres("53300"), DatabaseUnreachable),
        (Postgres("55P03"), DatabaseLocked),
        (Postgres("57014"), DatabaseLocked),
        (Postgres("57P01"), DatabaseUnreachable),
        (Postgres("08006"), DatabaseUnreachable),
        (Postgres("28P01"), DatabaseUnreachable),
        (Postgres("3D000"), DatabaseUnreachable),
        (Postgres("25006"), DatabaseUnreadable),
        (Postgres("58030"), DatabaseUnreadable),
        (Postgres("23505"), None),  # a broken rule is no fault of the surroundings
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), DatabaseUnreachable),
        (TimeoutError(), DatabaseUnreachable),
        (sqlite3.OperationalError("without a code"), None),
        (KeyError("x"), None),
    ],
)
def test_exceptions_are_told_apart(error: Exception, kind: type[Problem] | None) -> None:
    problem = problem_of(error, "the database")
    assert type(problem) is kind if kind else problem is None
    assert problem is None or "\n" not in problem.detail
