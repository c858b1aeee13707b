"""The ledger finds what it is there to find: a chaos whose judge sees nothing would prove nothing."""

from __future__ import annotations

import pytest

from tests.chaos.app import LINE, line
from tests.chaos.ledger import Ledger, Written
from tests.chaos.plan import CYCLE, Kind, What, draw
from tests.chaos.release import DEFECTS

KEY = "run", "stdout"


def of(*numbers: int) -> Ledger:
    ledger = Ledger()
    for number in numbers:
        ledger.take(*KEY, line(number, b"out").decode().rstrip("\n"))
    return ledger


def test_all_lines_once_in_order_are_no_fault() -> None:
    ledger = of(0, 1, 2)
    written = {KEY: Written(3 * LINE, 3 * LINE)}
    assert (ledger.faults(), ledger.behind(written), ledger.beyond(written)) == ([], [], [])


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [((0, 2), "1 missing"), ((0, 3), "2 missing"), ((0, 0), "1 doubled"), ((1,), "1 missing")],
)
def test_a_line_too_few_or_too_many_is_a_fault(numbers: tuple[int, ...], fault: str) -> None:
    assert of(*numbers).faults()[0] == fault


def test_a_gap_that_the_log_tells_of_is_a_fault() -> None:
    ledger = of(0)
    ledger.gap({"bytes": 1})
    assert ledger.faults()[0] == "1 lost"


def test_what_was_written_and_has_not_come_is_told() -> None:
    assert of(0).behind({KEY: Written(3 * LINE, 2 * LINE + 5)}) == [f"{KEY}: 1 of 2 lines"]


def test_a_line_that_nobody_wrote_is_told() -> None:
    assert of(0, 1).beyond({KEY: Written(LINE + 5, LINE)})
    assert of(0).beyond({})


def test_only_the_last_line_of_a_run_may_be_cut_short() -> None:
    ledger = of(0)
    ledger.take(*KEY, "00000")
    assert ledger.faults() == []
    ledger.take(*KEY, line(1, b"out").decode().rstrip("\n"))
    assert ledger.faults()[0] == "1 odd"


def test_the_same_seed_gives_the_same_rounds() -> None:
    assert [draw(5, n) for n in range(50)] == [draw(5, n) for n in range(50)]
    assert [draw(5, n) for n in range(50)] != [draw(6, n) for n in range(50)]


def test_every_kind_of_trouble_comes() -> None:
    plans = [draw(1, n) for n in range(30 * CYCLE)]
    assert {plan.kind for plan in plans} == set(Kind)
    assert {plan.defect for plan in plans} == {"", *DEFECTS}
    acts = {(act.who, act.what) for plan in plans for act in plan.acts}
    assert {what for _, what in acts} == set(What) and len(acts) == 11
