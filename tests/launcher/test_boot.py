"""The boot decisions, as scripts of events: it must ask for this, then this happens."""

from __future__ import annotations

import signal

import pytest

from launcher import events as ev
from launcher.boot import TRANSITIONS, Boot, IllegalTransitionError
from launcher.events import State
from launcher.record import INSTALLED, Entry, Record, ReleaseState, Rung, parse
from launcher.verdict import VERDICTS, Kind, Limits, kind_of

GOOD, STAGED, FAILED = ReleaseState.GOOD, ReleaseState.STAGED, ReleaseState.FAILED
TRYING, PROBATION = ReleaseState.TRYING, ReleaseState.PROBATION


def record(current: str = "r2", **states: ReleaseState) -> Record:
    return Record(current, {INSTALLED: Entry(GOOD)} | {name: Entry(state) for name, state in states.items()})


def spawned(actions: list[ev.Action]) -> list[str]:
    return [action.release for action in actions if isinstance(action, ev.Spawn)]


def notes(actions: list[ev.Action]) -> list[str]:
    return [action.event for action in actions if isinstance(action, ev.Note)]


def started(boot: Boot, now: float = 0.0, healthy: bool = True) -> Boot:
    boot.step(ev.Begin(), now)
    if healthy:
        boot.step(ev.Healthy(), now)
    return boot


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0, Kind.CLEAN),
        (75, Kind.RESTART),
        (78, Kind.CONFIG),
        (1, Kind.CRASH),
        (255, Kind.CRASH),
        (-signal.SIGKILL, Kind.KILLED),
        (-signal.SIGTERM, Kind.KILLED),
        (-signal.SIGSEGV, Kind.CRASH),
    ],
)
def test_exit_statuses_have_a_kind_each(status: int, kind: Kind) -> None:
    assert kind_of(status) is kind


def test_every_kind_of_death_has_a_verdict_for_every_standing() -> None:
    assert {standing: set(row) for standing, row in VERDICTS.items()} == {
        (candidate, healthy): set(Kind) for candidate in (False, True) for healthy in (False, True)
    }


def test_an_event_that_makes_no_sense_is_refused_and_changes_nothing() -> None:
    boot = started(Boot(record(r2=GOOD)))
    before = boot.record.dump()
    with pytest.raises(IllegalTransitionError):
        boot.step(ev.Begin(), 1.0)
    assert (boot.state, boot.record.dump()) == (State.HEALTHY, before)


def test_people_and_time_are_heard_in_every_state_but_the_last() -> None:
    for state in State:
        for event in (ev.StopAsked, ev.Tick, ev.RetryAsked, ev.Staged, ev.SwitchAsked):
            assert ((state, event) in TRANSITIONS) is (state is not State.LEFT)


def test_back_off_grows_and_begins_anew_after_long_health() -> None:
    boot = started(Boot(record(r2=GOOD)))
    now, waits = 0.0, []
    for _ in range(10):
        actions = boot.step(ev.Died(Kind.CRASH), now)
        due = boot.deadline if boot.state is State.WAITING else now
        assert due is not None
        waits.append(due - now)
        now = due
        if not spawned(actions):
            assert spawned(boot.step(ev.Tick(), now)) == ["r2"]
        boot.step(ev.Healthy(), now)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    boot.step(ev.Tick(), now + 60)
    assert spawned(boot.step(ev.Died(Kind.CRASH), now + 61)) == ["r2"]


def test_a_record_is_saved_before_anything_is_done() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.Staged("r3"), 1.0)
    actions = boot.step(ev.Died(Kind.RESTART), 2.0)
    assert actions[0] == ev.Save()
    assert spawned(actions) == ["r3"]
    assert (boot.record.current, boot.record.previous, boot.record.tries) == ("r3", "r2", 1)


def test_a_staged_release_becomes_good_by_continuous_health() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.Staged("r3"), 1.0)
    boot.step(ev.Died(Kind.RESTART), 2.0)
    assert boot.record.state("r3") is TRYING
    boot.step(ev.Healthy(), 3.0)
    assert boot.record.state("r3") is PROBATION
    boot.step(ev.Tick(), 62.9)
    assert boot.record.state("r3") is PROBATION
    assert "good" in notes(boot.step(ev.Tick(), 63.0))
    assert boot.record.state("r3") is GOOD


@pytest.mark.parametrize("kind", [Kind.CRASH, Kind.CONFIG, Kind.HUNG, Kind.CLEAN])
def test_a_candidate_that_fails_before_health_is_rolled_back_and_remembered(kind: Kind) -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.Staged("r3"), 1.0)
    boot.step(ev.Died(Kind.RESTART), 2.0)
    assert spawned(boot.step(ev.Died(kind), 3.0)) == ["r2"]
    assert boot.record.state("r3") is FAILED
    assert boot.record.current == "r2"
    boot.step(ev.Healthy(), 4.0)
    assert spawned(boot.step(ev.Died(Kind.RESTART), 5.0)) == ["r2"]
    assert "switch_refused" in notes(started_again(boot, 6.0).step(ev.SwitchAsked("r3"), 7.0))


def started_again(boot: Boot, now: float) -> Boot:
    boot.step(ev.Healthy(), now)
    return boot


def test_a_crash_in_probation_rolls_back() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.Staged("r3"), 1.0)
    boot.step(ev.Died(Kind.RESTART), 2.0)
    boot.step(ev.Healthy(), 3.0)
    assert spawned(boot.step(ev.Died(Kind.CRASH), 30.0)) == ["r2"]
    assert boot.record.state("r3") is FAILED


def test_failed_health_in_probation_rolls_back() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.Staged("r3"), 1.0)
    boot.step(ev.Died(Kind.RESTART), 2.0)
    boot.step(ev.Healthy(), 3.0)
    assert ev.End(force=True) in boot.step(ev.Unhealthy("no answer"), 20.0)
    assert spawned(boot.step(ev.Died(Kind.KILLED), 21.0)) == ["r2"]
    assert boot.record.state("r3") is FAILED


def test_kills_from_outside_never_make_a_release_failed() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.Staged("r3"), 1.0)
    boot.step(ev.Died(Kind.RESTART), 2.0)
    now = 3.0
    while boot.record.current == "r3":
        boot.step(ev.Died(Kind.KILLED), now)
        now = boot.deadline or now
        if boot.state is State.WAITING:
            boot.step(ev.Tick(), now)
    assert boot.record.state("r3") is STAGED
    assert boot.active == "r2"


def test_one_that_somebody_stopped_while_it_started_is_no_verdict() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.Staged("r3"), 1.0)
    boot.step(ev.Died(Kind.RESTART), 2.0)
    assert boot.active == "r3"
    assert ev.End(force=True) in boot.step(ev.Tick(), 62.0)
    assert "rolled_back" not in notes(boot.step(ev.Died(Kind.KILLED, outside=True), 62.1))
    assert boot.record.state("r3") is TRYING


def test_what_was_good_is_remembered_at_birth_not_read_at_death() -> None:
    """The daemon moves `staged` before it dies: the life that died is still the old release."""
    boot = started(Boot(record(r2=TRYING, r1=GOOD)))
    boot.step(ev.Staged("r3"), 1.0)
    boot.step(ev.Died(Kind.CRASH), 2.0)
    assert boot.record.state("r2") is FAILED
    assert boot.record.state("r3") is STAGED
    assert boot.active == "r1"


def test_five_deaths_without_health_go_to_the_good_release_before() -> None:
    made = record(r2=GOOD, r1=GOOD)
    made.previous = "r1"
    boot = started(Boot(made), healthy=False)
    now = die_until(boot, lambda: boot.active == "r1")
    assert boot.record.state("r2") is GOOD, "deaths do not demote a good release"
    assert boot.record.given_up == ["r2"]
    boot.step(ev.Healthy(), now)
    boot.step(ev.Tick(), now + 60)
    assert boot.record.given_up == []


def test_the_ladder_ends_in_safe_mode_and_then_in_our_own_answer_with_a_way_out() -> None:
    boot = started(Boot(record(INSTALLED)), healthy=False)
    now = die_until(boot, lambda: boot.record.rung is Rung.SAFE)
    assert boot.state is State.STARTING
    now = die_until(boot, lambda: boot.state is State.ANSWERING, now)
    assert boot.record.rung is Rung.LAST
    assert boot.deadline == now + Limits().retry
    boot.step(ev.Tick(), now + 300)
    assert boot.state is State.STARTING
    boot.step(ev.Died(Kind.CRASH), now + 301)
    assert boot.state is State.ANSWERING, "one death is enough on the last rung"
    assert spawned(boot.step(ev.RetryAsked(), now + 302)) == [INSTALLED]
    boot.step(ev.Healthy(), now + 303)
    assert boot.record.rung is Rung.NORMAL


def test_a_restart_asked_for_in_safe_mode_leaves_it() -> None:
    boot = started(Boot(record(INSTALLED)), healthy=False)
    now = die_until(boot, lambda: boot.record.rung is Rung.SAFE)
    boot.step(ev.Healthy(), now)
    actions = boot.step(ev.Died(Kind.RESTART), now + 1)
    assert ev.Spawn(INSTALLED, safe=False) in actions


def die_until(boot: Boot, done: object, now: float = 0.0) -> float:
    assert callable(done)
    for _ in range(100):
        if done():
            return now
        if boot.state is State.WAITING:
            assert boot.deadline is not None
            now = boot.deadline
            boot.step(ev.Tick(), now)
        else:
            boot.step(ev.Died(Kind.CRASH), now)
    raise AssertionError("never")


def test_a_wrong_configuration_leaves_with_78_when_there_is_no_app() -> None:
    boot = started(Boot(record(r2=GOOD)), healthy=False)
    assert boot.step(ev.Died(Kind.CONFIG), 1.0)[-1] == ev.Leave(78)


def test_a_wrong_configuration_keeps_a_living_app_and_waits_for_another_one() -> None:
    boot = started(Boot(record(r2=GOOD)), healthy=False)
    actions = boot.step(ev.Died(Kind.CONFIG, "att.toml: no", app=True), 1.0)
    assert any(isinstance(action, ev.Answer) and "att.toml: no" in action.reason for action in actions)
    assert boot.deadline is None
    assert spawned(boot.step(ev.RetryAsked(), 2.0)) == ["r2"]


def test_a_wrong_configuration_is_over_when_the_app_is() -> None:
    boot = started(Boot(record(r2=GOOD)), healthy=False)
    boot.step(ev.Died(Kind.CONFIG, app=True), 1.0)
    assert boot.step(ev.AppGone(), 2.0)[-1] == ev.Leave(78)


def test_a_stop_during_back_off_starts_no_more_life() -> None:
    boot = started(Boot(record(r2=GOOD)), healthy=False)
    boot.step(ev.Died(Kind.CRASH), 0.0)
    boot.step(ev.Died(Kind.CRASH), 0.0)
    assert boot.state is State.WAITING
    actions = boot.step(ev.StopAsked(), 0.1)
    assert (spawned(actions), actions[-1], boot.state) == ([], ev.Leave(0), State.LEFT)


def test_a_second_stop_has_no_patience() -> None:
    boot = started(Boot(record(r2=GOOD)))
    assert ev.End(force=False) in boot.step(ev.StopAsked(), 1.0)
    assert boot.step(ev.StopAsked(), 1.1) == [ev.End(force=True)]


def test_a_slow_stop_ends_in_a_kill() -> None:
    boot = started(Boot(record(r2=GOOD)))
    boot.step(ev.StopAsked(), 1.0)
    assert boot.deadline == 31.0
    assert boot.step(ev.Tick(), 31.0) == [ev.End(force=True)]
    assert boot.step(ev.Died(Kind.HUNG), 31.1)[-1] == ev.Leave(0)


def test_restarts_that_are_asked_for_too_often_get_a_back_off() -> None:
    boot = started(Boot(record(r2=GOOD)))
    at_once = 0
    while spawned(boot.step(ev.Died(Kind.RESTART), 1.0)):
        boot.step(ev.Healthy(), 1.0)
        at_once += 1
        assert at_once < 20
    assert boot.state is State.WAITING


def test_blue_green_hands_over_to_a_healthy_standby() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    assert ev.SpawnStandby("r3") in boot.step(ev.SwitchAsked("r3"), 1.0)
    assert boot.record.current == "r2"
    assert ev.Drain() in boot.step(ev.StandbyHealthy(), 2.0)
    actions = boot.step(ev.Died(Kind.RESTART), 3.0)
    assert (actions[0], actions[-1]) == (ev.Save(), ev.Activate())
    assert (boot.active, boot.record.current, boot.record.previous) == ("r3", "r3", "r2")
    boot.step(ev.Healthy(), 4.0)
    boot.step(ev.Tick(), 64.0)
    assert boot.record.state("r3") is GOOD


@pytest.mark.parametrize("kind", list(Kind))
def test_any_exit_of_the_old_one_activates_a_healthy_standby(kind: Kind) -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.SwitchAsked("r3"), 1.0)
    boot.step(ev.StandbyHealthy(), 2.0)
    assert ev.Activate() in boot.step(ev.Died(kind), 3.0)


def test_a_standby_that_fails_never_takes_a_request() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.SwitchAsked("r3"), 1.0)
    actions = boot.step(ev.StandbyLost(Kind.CRASH, "exit code 1"), 2.0)
    assert (boot.state, boot.active, boot.record.state("r3")) == (State.HEALTHY, "r2", FAILED)
    assert not spawned(actions)


def test_a_standby_that_never_gets_healthy_is_ended_and_failed() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.SwitchAsked("r3"), 1.0)
    assert boot.deadline is not None
    assert ev.EndStandby(force=True) in boot.step(ev.Tick(), 61.0)
    boot.step(ev.StandbyLost(Kind.KILLED), 61.1)
    assert boot.record.state("r3") is FAILED


def test_a_standby_that_somebody_stopped_is_no_verdict() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.SwitchAsked("r3"), 1.0)
    boot.step(ev.Tick(), 61.0)
    boot.step(ev.StandbyLost(Kind.KILLED, outside=True), 61.1)
    assert boot.record.state("r3") is STAGED


def test_an_old_one_that_does_not_drain_is_ended_and_the_standby_takes_over() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.SwitchAsked("r3"), 1.0)
    boot.step(ev.StandbyHealthy(), 2.0)
    assert boot.step(ev.Tick(), 17.0) == [ev.End(force=True)]
    assert ev.Activate() in boot.step(ev.Died(Kind.HUNG), 17.1)


def test_a_standby_lost_while_the_old_one_drains_brings_the_old_release_back() -> None:
    boot = started(Boot(record(r2=GOOD, r3=STAGED)))
    boot.step(ev.SwitchAsked("r3"), 1.0)
    boot.step(ev.StandbyHealthy(), 2.0)
    boot.step(ev.StandbyLost(Kind.KILLED), 2.5)
    assert spawned(boot.step(ev.Died(Kind.RESTART), 3.0)) == ["r2"]
    assert boot.record.state("r3") is STAGED


def test_a_release_whose_folder_is_gone_is_forgotten() -> None:
    boot = Boot(record(r2=GOOD, r1=GOOD))
    boot.step(ev.Begin(), 0.0)
    assert spawned(boot.step(ev.Died(Kind.MISSING), 0.1)) == ["r1"]
    assert "r2" not in boot.record.releases


def test_a_candidate_is_not_tried_for_ever_over_restarts_of_the_launcher() -> None:
    made = record(r2=TRYING, r1=GOOD)
    lives = 0
    while made.current == "r2":
        boot = Boot(parse(made.dump()))
        boot.step(ev.Begin(), 0.0)
        made, lives = boot.record, lives + 1
        assert lives < 20
    assert (made.current, made.state("r2"), lives) == ("r1", STAGED, Limits().tries + 1)


def test_a_clean_stop_gives_a_fresh_chance() -> None:
    made = record(INSTALLED)
    made.rung, made.deaths, made.given_up, made.clean = Rung.SAFE, 3, [INSTALLED], True
    boot = Boot(made)
    assert ev.Spawn(INSTALLED, safe=False) in boot.step(ev.Begin(), 0.0)


def test_a_release_that_was_forgotten_while_it_was_the_standby_is_tried() -> None:
    """The active life of the same release could not be started; the standby that runs shows that it is there."""
    boot = started(Boot(record("r2", r1=GOOD, r2=TRYING)))
    boot.step(ev.SwitchAsked("r1"), 1.0)
    boot.step(ev.Died(Kind.CRASH), 2.0)
    assert boot.active == "r1"
    boot.step(ev.Died(Kind.MISSING), 2.1)
    assert boot.record.state("r1") is None
    boot.step(ev.StandbyHealthy(), 3.0)
    boot.step(ev.Died(Kind.RESTART), 4.0)
    assert (boot.active, boot.record.state("r1")) == ("r1", TRYING)
