"""Health out of probe results: gates, thresholds, resets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.health import Change, Health, pause
from supervisor.spec import ProbeKind, ProbeSpec, Use

ALL = frozenset(Use)


def http(*use: Use, **more: int) -> ProbeSpec:
    return ProbeSpec(
        ProbeKind.HTTP, name="-".join(use) or "all", use=frozenset(use) or ALL, url="http://x", **more
    )


def test_without_probes_it_is_up_and_ready_with_its_process() -> None:
    health = Health(())
    assert health.begin() == [Change.STARTED, Change.READY]
    assert health.healthy is True


def test_a_process_probe_is_content_with_the_process() -> None:
    health = Health((ProbeSpec(ProbeKind.PROCESS),))
    assert health.begin() == [Change.STARTED, Change.READY]


def test_startup_holds_the_others_back() -> None:
    health = Health((http(Use.STARTUP), http(Use.READINESS)))
    assert health.begin() == []
    assert health.runs(0)
    assert not health.runs(1)
    assert health.record(1, True) == []
    assert health.record(0, True) == [Change.STARTED]
    assert health.runs(1)
    assert health.healthy is None
    assert health.record(1, True) == [Change.READY]
    assert health.healthy is True


def test_what_is_for_the_start_alone_is_not_asked_after_it() -> None:
    health = Health((http(Use.STARTUP, failure_threshold=1), http(Use.READINESS), http()))
    health.begin()
    health.record(0, True)
    assert not health.started
    assert health.runs(0)
    health.record(2, True)
    assert health.started
    assert [health.runs(index) for index in range(3)] == [False, True, True]
    assert health.record(0, False) == []
    health.record(1, True)
    assert health.healthy is True
    assert health.speaker == 1


def test_failures_while_starting_have_no_consequence() -> None:
    health = Health((http(failure_threshold=2),))
    health.begin()
    for _ in range(50):
        assert health.record(0, False, "refused") == []
    assert health.healthy is None
    assert health.record(0, True) == [Change.STARTED, Change.READY]
    assert health.record(0, False) == []
    assert health.healthy is True


def test_liveness_alone_ends_a_run_readiness_does_not() -> None:
    health = Health((http(Use.READINESS, failure_threshold=1), http(Use.LIVENESS, failure_threshold=1)))
    assert health.begin() == [Change.STARTED]
    assert health.record(0, False) == [Change.UNHEALTHY]
    assert health.record(0, True) == [Change.READY]
    assert health.record(1, False) == [Change.UNHEALTHY, Change.DEAD]


def test_a_success_takes_all_failures_back() -> None:
    health = Health((http(Use.LIVENESS, failure_threshold=3),))
    health.begin()
    for _ in range(10):
        assert health.record(0, False) == []
        assert health.record(0, False) == []
        assert health.record(0, True) == []
    assert health.tallies[0].failures == 0


def test_the_success_threshold_counts_successes_in_a_row() -> None:
    health = Health((http(Use.READINESS, success_threshold=3),))
    health.begin()
    told = [health.record(0, ok) for ok in (True, True, False, True, True, True)]
    assert told == [[], [], [], [], [], [Change.READY]]


def test_unhealthy_is_told_once_and_again_after_a_recovery() -> None:
    health = Health((http(Use.READINESS, failure_threshold=1),))
    health.begin()
    told = [health.record(0, ok) for ok in (True, False, False, True, False)]
    assert told == [[Change.READY], [Change.UNHEALTHY], [], [Change.READY], [Change.UNHEALTHY]]


def test_the_failing_probe_speaks() -> None:
    health = Health((http(Use.READINESS), http(Use.LIVENESS, failure_threshold=1)))
    health.begin()
    health.record(0, True)
    assert health.speaker == 1  # has not spoken yet
    health.record(1, False, "gone")
    assert health.speaker == 1
    assert health.tallies[1].reason == "gone"
    assert Health(()).speaker is None


def test_while_starting_it_is_asked_soon_and_afterwards_seldom() -> None:
    probe = http(period=10, initial_delay=2)
    assert pause(probe, False, 0) == 2
    starting = [pause(probe, False, n) for n in range(1, 12)]
    assert starting == sorted(starting)
    assert starting[0] < 0.2
    assert starting[-1] == 0.5
    assert pause(probe, True, 5) == 10


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.lists(st.booleans(), max_size=60),
)
def test_the_verdict_is_what_the_last_results_in_a_row_say(up: int, down: int, results: list[bool]) -> None:
    health = Health((http(Use.READINESS, success_threshold=up, failure_threshold=down),))
    health.begin()
    expected: bool | None = None
    for n, ok in enumerate(results, 1):
        health.record(0, ok)
        if n >= up and all(results[n - up : n]):
            expected = True
        if n >= down and not any(results[n - down : n]):
            expected = False
        assert health.tallies[0].healthy is expected
        assert health.ready is (expected is True)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=80))
def test_nothing_is_told_twice_and_nothing_before_the_start(results: list[tuple[int, bool]]) -> None:
    probes = (
        http(Use.STARTUP),
        http(Use.READINESS, failure_threshold=1),
        http(Use.LIVENESS, failure_threshold=2),
    )
    health = Health(probes)
    told = health.begin()
    for index, ok in results:
        news = health.record(index, ok)
        if Change.STARTED not in [*told, *news]:
            assert not news
        told += news
    assert told.count(Change.STARTED) <= 1
    ups_and_downs = [change for change in told if change is Change.READY]
    assert len(ups_and_downs) <= 1 + told.count(Change.UNHEALTHY)
