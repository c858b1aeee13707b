"""The table of the lifecycle: what it promises, whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import (
    ALIVE,
    AT_REST,
    BY_POLICY,
    STATES,
    TRANSITIONS,
    Action,
    Event,
    IllegalTransition,
    Phase,
    State,
    step,
)

PERSONAL = {Event.START, Event.STOP, Event.RESTART}
ENDS = {Event.GONE, Event.AGAIN, Event.DONE, Event.GIVE_UP}
events = st.lists(st.sampled_from(list(Event)), max_size=60)


def legal(phase: Phase, happened: list[Event]) -> list[tuple[Phase, Event, Phase, tuple[Action, ...]]]:
    """The walk through the table; what makes no sense is refused and changes nothing."""
    walk = []
    for event in happened:
        try:
            after, actions = step(phase, event)
        except IllegalTransition:
            continue
        walk.append((phase, event, after, actions))
        phase = after
    return walk


def test_every_phase_has_a_state_and_every_state_a_phase() -> None:
    assert set(STATES) == set(Phase)
    assert {phase.state for phase in Phase} == set(State)


def test_what_makes_no_sense_is_refused_by_name() -> None:
    with pytest.raises(IllegalTransition, match="STOP makes no sense while stopped"):
        step(Phase.STOPPED, Event.STOP)
    with pytest.raises(IllegalTransition, match="START makes no sense while running"):
        step(Phase.RUNNING, Event.START)


@given(events)
def test_failed_is_left_only_by_a_person(happened: list[Event]) -> None:
    for before, event, _, _ in legal(Phase.STOPPED, happened):
        if before is Phase.FAILED:
            assert event in PERSONAL


@given(events)
def test_there_is_never_a_second_process(happened: list[Event]) -> None:
    running = False
    for _, event, after, actions in legal(Phase.STOPPED, happened):
        if event in ENDS or event is Event.CANNOT:
            running = False
        if Action.SPAWN in actions:
            assert not running
            running = True
        assert running == (after in ALIVE)


@given(events)
def test_without_a_person_every_start_comes_out_of_back_off(happened: list[Event]) -> None:
    for before, event, _, actions in legal(Phase.STOPPED, happened):
        if Action.SPAWN in actions and event not in PERSONAL and before is not Phase.RECYCLING:
            assert (before, event) == (Phase.BACKOFF, Event.OVER)


@given(events)
def test_earlier_deaths_are_forgotten_only_on_a_wish(happened: list[Event]) -> None:
    for before, event, _, actions in legal(Phase.STOPPED, happened):
        if Action.FRESH in actions:
            assert event in PERSONAL or before is Phase.RECYCLING


@given(events)
def test_a_stop_ends_as_soon_as_the_run_is_gone_whatever_happens_before(happened: list[Event]) -> None:
    """After a stop, only another wish keeps the app; the end of the run is the end of it."""
    for phase in (Phase.STARTING, Phase.RUNNING, Phase.RECYCLING, Phase.ENDING):
        stopping, _ = step(phase, Event.STOP)
        for _, event, after, _ in legal(stopping, [event for event in happened if event not in PERSONAL]):
            assert after is (Phase.STOPPED if event in ENDS else Phase.STOPPING)
            if after is Phase.STOPPED:
                break


@pytest.mark.parametrize("phase", [*sorted(ALIVE - BY_POLICY, key=str), Phase.ENDING], ids=str)
def test_one_who_does_not_leave_is_killed(phase: Phase) -> None:
    after, actions = step(phase, Event.SLOW)
    assert after is phase
    assert actions == (Action.KILL,)


@pytest.mark.parametrize("phase", list(Phase), ids=str)
def test_from_everywhere_a_person_can_bring_it_to_rest(phase: Phase) -> None:
    if phase is not Phase.STOPPED:
        after, _ = step(phase, Event.STOP)
        if after is Phase.STOPPING:
            after, _ = step(after, Event.GONE)
        assert after is Phase.STOPPED


@pytest.mark.parametrize("phase", list(Phase), ids=str)
def test_every_living_phase_answers_an_end_the_way_it_is_fed(phase: Phase) -> None:
    answered = {event for event in ENDS if (phase, event) in TRANSITIONS}
    if phase in BY_POLICY:
        assert answered == ENDS - {Event.GONE}
    elif phase in ALIVE:
        assert answered == {Event.GONE}
    else:
        assert not answered


def test_coming_to_rest_is_always_told_and_leaves_no_timer() -> None:
    for (before, _), (after, actions) in TRANSITIONS.items():
        if after in AT_REST and before is not after:
            assert actions == (Action.DISARM, Action.REST)
        else:
            assert Action.REST not in actions
