"""The tables and policies of long work, decided without any I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.problems import Conflict, Unavailable
from att.workflow.content import TEXT, encoded, shown
from att.workflow.errors import TooLarge
from att.workflow.retry import Backoff, wait_before_next
from att.workflow.states import LIVES, TABLE, AtStart, Happening, RunState, WrongMoment, at_start, moved
from att.workflow.undoing import ABSENT, State, Way, paths_of, unquoted, way

STATES, HAPPENINGS = st.sampled_from(RunState), st.sampled_from(Happening)


@given(STATES, HAPPENINGS)
def test_a_run_moves_as_the_table_says_or_not_at_all(state: RunState, what: Happening) -> None:
    if (state, what) in TABLE:
        assert moved(state, what) is TABLE[state, what]
    else:
        with pytest.raises(WrongMoment):
            moved(state, what)


def test_what_has_ended_can_only_be_resumed_and_success_is_for_good() -> None:
    for (state, what), after in TABLE.items():
        assert not state.ended or (what is Happening.RESUME and after is RunState.QUEUED)
    assert not [what for state, what in TABLE if state is RunState.SUCCEEDED]


def test_each_state_that_has_not_ended_can_come_to_every_end_that_fits() -> None:
    ends = {after for (state, _), after in TABLE.items() if state is RunState.RUNNING and after.ended}
    assert ends == {state for state in RunState if state.ended}


@given(STATES, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 20))
def test_the_next_life_goes_on_only_where_that_is_sound(
    state: RunState, known: bool, resumes: bool, condemned: bool, deaths: int
) -> None:
    plan = at_start(state, known=known, resumes=resumes, condemned=condemned, deaths=deaths)
    if plan is AtStart.GO_ON:
        assert known
        assert not condemned
        assert not state.ended
        assert state is RunState.QUEUED or (resumes and deaths < LIVES)
    if plan is AtStart.TAKE_BACK:
        assert known
        assert condemned or deaths >= LIVES
    if condemned and known and not state.ended:
        assert plan is AtStart.TAKE_BACK, "what was decided to end is not begun again"


@given(st.integers(1, 200), st.floats(0, 1))
def test_the_wait_grows_to_its_most_and_chance_only_shortens_it(failures: int, chance: float) -> None:
    backoff = Backoff(first=0.5, factor=2, most=30, jitter=0.5)
    wait = backoff.after(failures, chance)
    assert backoff.after(failures, 1) <= wait <= backoff.after(failures, 0) <= 30
    assert wait >= 0.25
    assert backoff.after(failures + 1, chance) >= wait


@given(st.integers(1, 10), st.integers(0, 10))
def test_a_step_is_tried_as_often_as_it_may_be(failures: int, retries: int) -> None:
    wait = wait_before_next(OSError("no"), failures, retries, Backoff(), 0.5)
    assert (wait is not None) == (failures <= retries)


def test_a_known_mistake_is_not_tried_again() -> None:
    assert wait_before_next(Conflict("no"), 1, 5, Backoff(), 0) is None
    assert wait_before_next(Unavailable("not now"), 1, 5, Backoff(), 0) == 0.5


FILES = st.builds(State, st.just("file"), st.sampled_from([0o644, 0o755]), st.sampled_from("ab"))
ANY = st.just(ABSENT) | FILES | st.builds(State, st.just("link"), st.just(0), st.sampled_from("ab"))


@given(ANY, ANY, ANY)
def test_a_file_of_somebody_else_is_never_exchanged(now: State, wanted: State, other: State) -> None:
    found = way(now, wanted, other)
    assert (found is Way.EXCHANGE) == (now == other != wanted)
    assert (found is Way.LEAVE) == (now not in (wanted, other))


@pytest.mark.parametrize(
    ("text", "name"),
    [("plain name", "plain name"), (r'"a\303\244\tb\"\\"', 'aä\tb"\\'), ('"', '"'), (r'"\q"', "?")],
)
def test_a_name_in_quotes_is_read_as_git_means_it(text: str, name: str) -> None:
    assert unquoted(text) == name


@given(st.text(max_size=300))
def test_any_text_may_be_taken_for_a_patch(text: str) -> None:
    assert "/dev/null" not in paths_of(text)


def test_a_patch_names_its_files() -> None:
    patch = (
        "diff --git a/one two.txt b/one two.txt\nold mode 100644\nnew mode 100755\n"
        "--- a/x/y.py\t2026-01-01\n+++ b/x/y.py\n--- /dev/null\n+++ b/new\n"
        'rename from "\\303\\244"\nrename to b\n'
        'diff --git "a/q\\"" "b/q\\""\n'
    )
    assert paths_of(patch) == ["one two.txt", "x/y.py", "new", "ä", "b", 'q"']


def test_what_is_no_plain_json_or_too_long_is_refused() -> None:
    assert encoded({"a": [1, None]}, 100, "It") == '{"a":[1,null]}'
    with pytest.raises(TooLarge):
        encoded("x" * 100, 100, "It")
    for odd in ({1, 2}, float("nan"), object()):
        with pytest.raises((TypeError, ValueError)):
            encoded(odd, 100, "It")


def test_a_long_list_is_shown_in_short() -> None:
    assert shown({"a": list(range(150))})["a"][99:] == [99, "… (150 in all)"]


def test_a_long_text_is_shown_in_short() -> None:
    cut = shown({"a": ["x" * (TEXT + 5), 1]})["a"][0]
    assert cut.startswith("x" * TEXT)
    assert cut.endswith(f"({TEXT + 5} characters)")
