"""A range of times as a range of ids, however the clock went."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from att.event.models import ListEvents, Order
from att.event.zones import BLOCK, Zones
from att.store.tables import events
from tests.att.rooms import on_a_loop, rooms

TIMES = st.lists(st.integers(0, 50).map(lambda number: f"{number:02}"), max_size=40)
BOUND = st.none() | st.integers(0, 51).map(lambda number: f"{number:02}")


@given(TIMES, BOUND, BOUND, st.integers(0, 40))
def test_no_event_of_the_range_is_outside_of_the_ids(
    times: list[str], since: str | None, until: str | None, split: int
) -> None:
    zones = Zones()
    spread = [(number * BLOCK // 3 + 1, time) for number, time in enumerate(times)]
    for part in (spread[:split], spread[split:]):  # as it grows
        rows: dict[int, list[str]] = {}
        for number, time in part:
            rows.setdefault(number // BLOCK, []).append(time)
        told = [(block, min(found), max(found)) for block, found in rows.items()]
        zones.extend(told, part[-1][0] if part else 0)
    wanted = {n for n, t in spread if (since is None or t >= since) and (until is None or t < until)}
    found = zones.ids(since, until)
    assert not wanted or found is not None
    assert found is None or all(found[0] <= number <= found[1] for number in wanted)


@on_a_loop
async def test_a_clock_that_was_set_back_hides_nothing_from_a_page(tmp_path: Path) -> None:
    async with rooms(tmp_path) as opened:
        days = [5, 6, 7, 2, 3, 8, 9]  # set back after the third

        def work(connection: object, first: int) -> None:
            for number, day in enumerate(days):
                connection.execute(  # type: ignore[attr-defined]
                    insert(events).values(
                        id=first + number * BLOCK,
                        event_type="a.b",
                        project_id="p",
                        payload="{}",
                        timestamp=f"2026-01-0{day}T00:00:00.000000Z",
                        actor="x",
                        outcome="ok",
                    )
                )

        async def found(since: int, until: int) -> list[int]:
            page = await opened.events.page(
                ListEvents(
                    project_id="p",
                    type=["a.b"],
                    since=f"2026-01-0{since}T00:00:00Z",  # type: ignore[arg-type]
                    until=f"2026-01-0{until}T00:00:00Z",  # type: ignore[arg-type]
                    order=Order.OLDEST,
                )
            )
            return [int(event.timestamp[9]) for event in page.events]

        await opened.store.write(lambda connection: work(connection, 1))
        assert await found(2, 6) == [5, 2, 3]
        assert await found(8, 9) == [8]
        assert await found(4, 5) == []
        await opened.store.write(lambda connection: work(connection, 100 * BLOCK))
        assert await found(2, 6) == [5, 2, 3, 5, 2, 3]
