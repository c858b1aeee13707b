"""The restart policy: back-off, intensity, reset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.restart import Again, Cause, Death, Done, GiveUp, Restarts, is_failure
from supervisor.spec import Restart, RestartSpec

CRASH = Death(Cause.EXIT, 1, None, 0.1)
CLEAN = Death(Cause.EXIT, 0, None, 0.1)
deaths = st.builds(
    Death,
    st.sampled_from(Cause),
    st.none() | st.integers(0, 255),
    st.none() | st.integers(1, 64),
    st.floats(0, 59.9),
)


def delays(spec: RestartSpec, count: int, every: float = 1000.0) -> list[float]:
    restarts = Restarts(spec)
    answers = [restarts.answer(CRASH, every * n, 0.0) for n in range(count)]
    return [answer.delay for answer in answers if isinstance(answer, Again)]


def test_the_first_death_is_answered_at_once_and_each_further_one_later() -> None:
    assert delays(RestartSpec(delays=(0, 1, 4)), 5) == [0, 1, 4, 4, 4]


def test_the_delay_is_spread_by_chance_but_never_shortened() -> None:
    spec = RestartSpec(delays=(10,), jitter=0.5)
    assert Restarts(spec).answer(CRASH, 0, 0.0) == Again(10)
    assert Restarts(spec).answer(CRASH, 0, 1.0) == Again(15)


def test_too_many_deaths_within_the_period_are_a_crash_loop() -> None:
    restarts = Restarts(RestartSpec(intensity=3, period=10))
    for n in range(3):
        assert isinstance(restarts.answer(CRASH, n, 0), Again)
    verdict = restarts.answer(CRASH, 3, 0)
    assert isinstance(verdict, GiveUp)
    assert verdict.code == "crash_loop"


def test_deaths_far_apart_are_no_crash_loop() -> None:
    assert len(delays(RestartSpec(intensity=1, period=10), 50, every=11)) == 50


def test_one_who_ran_long_enough_begins_anew() -> None:
    restarts = Restarts(RestartSpec(delays=(0, 5), intensity=2, reset_after=60))
    assert restarts.answer(CRASH, 0, 0) == Again(0)
    assert restarts.answer(CRASH, 1, 0) == Again(5)
    assert restarts.answer(Death(Cause.EXIT, 1, None, 60), 70, 0) == Again(0)


def test_a_person_makes_it_begin_anew() -> None:
    restarts = Restarts(RestartSpec(delays=(0, 5), intensity=1))
    restarts.answer(CRASH, 0, 0)
    restarts.fresh()
    assert restarts.answer(CRASH, 0, 0) == Again(0)


@pytest.mark.parametrize(
    ("policy", "death", "expected"),
    [
        (Restart.PERMANENT, CLEAN, Again),
        (Restart.PERMANENT, CRASH, Again),
        (Restart.TRANSIENT, CLEAN, Done),
        (Restart.TRANSIENT, CRASH, Again),
        (Restart.TRANSIENT, Death(Cause.EXIT, None, 15, 1), Again),
        (Restart.TRANSIENT, Death(Cause.ILL, 0, None, 1), Again),
        (Restart.TEMPORARY, CLEAN, Done),
        (Restart.TEMPORARY, CRASH, GiveUp),
        (Restart.TEMPORARY, Death(Cause.CHANGE, 0, None, 1), Again),
    ],
)
def test_each_policy_answers_each_death(policy: Restart, death: Death, expected: type) -> None:
    assert isinstance(Restarts(RestartSpec(policy)).answer(death, 0, 0), expected)


def test_clean_codes_are_what_the_spec_says() -> None:
    spec = RestartSpec(clean_codes=frozenset({0, 3}))
    assert not is_failure(Death(Cause.EXIT, 3, None, 1), spec)
    assert is_failure(Death(Cause.EXIT, 4, None, 1), spec)


def test_changed_files_never_make_it_fail_but_quick_ones_wait_longer() -> None:
    restarts = Restarts(RestartSpec(delays=(0, 1, 2), intensity=1))
    quick = Death(Cause.CHANGE, None, 15, 0.5)
    assert [restarts.answer(quick, 0, 0) for _ in range(4)] == [Again(0), Again(1), Again(2), Again(2)]
    assert restarts.answer(Death(Cause.CHANGE, None, 15, 30), 60, 0) == Again(0)


@given(st.lists(st.tuples(deaths, st.floats(0, 1, exclude_max=True)), min_size=1, max_size=80))
def test_no_sequence_of_deaths_loops_without_back_off(sequence: list[tuple[Death, float]]) -> None:
    """With time passing only by runs and delays: starts are bounded by the back-off, however causes are mixed."""
    spec = RestartSpec()
    restarts, now, at_once = Restarts(spec), 0.0, 0
    for death, chance in sequence:
        now += death.ran
        verdict = restarts.answer(death, now, chance)
        if not isinstance(verdict, Again):
            assert isinstance(verdict, GiveUp)  # permanent: never left as if all were well
            break
        at_once += verdict.delay == 0
        now += verdict.delay
    # Nobody ran for `reset_after`: one start at once for deaths; for changes one for each that came after a calm run.
    calm = sum(death.cause is Cause.CHANGE and death.ran >= 10 for death, _ in sequence)
    assert at_once <= 2 + calm


@given(st.lists(st.sampled_from([CRASH, CLEAN, Death(Cause.ILL, None, 9, 3.0)]), min_size=7, max_size=20))
def test_a_crash_loop_is_always_found(sequence: list[Death]) -> None:
    spec = RestartSpec(delays=(0.0,), intensity=5, period=1e6)
    restarts = Restarts(spec)
    verdicts = [restarts.answer(death, float(n), 0) for n, death in enumerate(sequence)]
    assert all(isinstance(verdict, Again) for verdict in verdicts[:5])
    assert all(isinstance(verdict, GiveUp) for verdict in verdicts[5:])


@given(st.lists(deaths, max_size=30), st.floats(0, 1))
def test_a_delay_is_never_longer_than_the_last_with_its_spread(sequence: list[Death], chance: float) -> None:
    spec = RestartSpec(intensity=1000)
    restarts = Restarts(spec)
    for n, death in enumerate(sequence):
        verdict = restarts.answer(death, float(n), chance)
        assert isinstance(verdict, Again)
        assert 0 <= verdict.delay <= spec.delays[-1] * (1 + spec.jitter)
