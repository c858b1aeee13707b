"""What is decided without looking at anything: names, the way back, what may go, how a switch stands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.release import journal, naming, pruning, recipe, record
from att.release.pruning import OnDisk
from att.release.record import BootRecord, Standing, State
from launcher.record import Entry, Record, ReleaseState, is_release_name

NAMES = [f"r{n}" for n in range(8)]
names = st.sampled_from(NAMES)
moments = st.datetimes(timezones=st.just(UTC))


@st.composite
def launcher_records(draw: st.DrawFn) -> Record:
    known = draw(st.lists(names, unique=True))
    made = Record(None, {name: Entry(draw(st.sampled_from(list(ReleaseState))), "why") for name in known})
    made.mark("installed", ReleaseState.GOOD)
    one = st.sampled_from([*known, "installed", None])
    made.current, made.previous, made.staged = draw(one), draw(one), draw(one)
    return made


@given(moments, st.text("0123456789abcdef", min_size=10, max_size=40))
def test_an_id_is_a_name_that_the_launcher_takes(moment: datetime, origin: str) -> None:
    name = naming.release_id(moment, origin)
    assert is_release_name(name)
    assert record.is_name(name)
    assert naming.release_id(moment, origin, {name}) not in ("", name)


@given(moments, moments, st.text("0123456789abcdef", min_size=10, max_size=10))
def test_ids_are_in_the_order_of_time(one: datetime, other: datetime, origin: str) -> None:
    earlier, later = sorted((one, other))
    assert naming.release_id(earlier, origin) <= naming.release_id(later, origin)


@given(st.text(max_size=20))
def test_what_a_name_is_is_the_same_here_and_in_the_launcher(text: str) -> None:
    assert record.is_name(text) == is_release_name(text)


@given(launcher_records())
def test_the_record_is_read_as_the_launcher_wrote_it(made: Record) -> None:
    read = record.parse(made.dump())
    assert (read.current, read.previous, read.staged) == (made.current, made.previous, made.staged)
    assert {name: entry.state.value for name, entry in read.releases.items()} == {
        name: entry.state.value for name, entry in made.releases.items()
    }


@given(launcher_records())
def test_the_way_back_is_where_the_launcher_itself_would_go(made: Record) -> None:
    assert record.parse(made.dump()).way_back(NAMES) == made.fallback()


@given(launcher_records(), st.lists(names))
def test_the_way_back_is_good_there_and_another_one(made: Record, present: list[str]) -> None:
    read = record.parse(made.dump())
    back = read.way_back(present)
    assert back is None or (read.state(back) is State.GOOD and back != read.current)
    assert back in (None, "installed") or back in present


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"releases": []}', '{"releases": {"a": {"state": "no"}}}', "[" * 90000]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        record.parse(text)


@given(
    st.lists(st.tuples(names, st.integers(0, 99)), unique_by=lambda one: one[0]),
    launcher_records(),
    st.none() | names,
    st.sets(names),
    st.integers(-1, 4),
)
def test_nothing_that_is_needed_is_ever_pruned(
    found: list[tuple[str, int]], made: Record, running: str | None, used: set[str], keep: int
) -> None:
    read = record.parse(made.dump())
    there = [OnDisk(name, f"{at:02}") for name, at in found]
    plan = pruning.plan(there, read, running=running, used=used, keep=keep)
    gone = {*plan.remove, *plan.strip}
    assert not gone & {read.current, read.previous, read.staged, running, *used}
    assert read.way_back({one.id for one in there}) not in gone
    assert all(read.state(name) not in (State.TRYING, State.PROBATION, None) for name in gone)
    good = sorted(
        (one for one in there if read.state(one.id) is State.GOOD), key=lambda o: (o.built_at, o.id)
    )
    assert not gone & {one.id for one in good[-max(keep, 1) :]}
    assert all(read.state(name) is State.FAILED for name in plan.strip)
    assert all(read.state(name) is not State.FAILED for name in plan.remove)
    left = [one for one in there if one.id not in plan.remove]
    again = [OnDisk(one.id, one.built_at, one.bulky and one.id not in plan.strip) for one in left]
    assert pruning.plan(again, read, running=running, used=used, keep=keep) == pruning.Pruning()


def test_old_good_ones_go_and_failed_ones_lose_their_environment() -> None:
    states = dict.fromkeys(["a", "b", "c", "d", "e"], State.GOOD) | {"x": State.FAILED, "n": State.STAGED}
    standing = {name: Standing(state) for name, state in states.items()}
    read = BootRecord(current="e", previous="a", releases=standing)
    there = [OnDisk(name, name) for name in (*states, "unknown")]
    plan = pruning.plan(there, read, running="e", keep=2)
    assert plan == pruning.Pruning(remove=("b", "c"), strip=("x",))


EVENTS = [
    "standby",
    "switching",
    "started",
    "standby_healthy",
    "switched",
    "healthy",
    "good",
    "failed",
    "exited",
]
EVENTS += [
    "rolled_back",
    "standby_lost",
    "switch_refused",
    "launcher_started",
    "staged",
    "missing",
    "backoff",
]
entries = st.lists(
    st.tuples(
        st.sampled_from(EVENTS), st.sampled_from(["r1", "r2", None]), st.sampled_from(["", "r1: no", "x"])
    ),
    max_size=30,
).map(
    lambda rows: [{"n": n + 1, "event": e, "release": r, "reason": why} for n, (e, r, why) in enumerate(rows)]
)


@given(entries, st.integers(0, 30))
def test_entries_heard_twice_change_nothing(told: list[dict[str, object]], at: int) -> None:
    assert journal.switch_to("r1", [*told[:at], *told]) == journal.switch_to("r1", told)


@given(entries)
def test_a_switch_is_done_by_health_or_by_an_error_and_its_share_never_goes_back(
    told: list[dict[str, object]],
) -> None:
    switch = journal.Switch("r1")
    for entry in told:
        after = switch.after(entry)
        if switch.under_way and after.under_way and entry["event"] not in journal.BEGINS:
            assert after.share >= switch.share
        if after.done and after.error is None:
            assert after.share == 1.0
        switch = after
    assert not (switch.error and switch.under_way)


def story(*events: str) -> journal.Switch:
    told = [dict(zip(("event", "release", "reason"), event.split("|"), strict=False)) for event in events]
    return journal.switch_to("r2", [{"n": n + 1, **entry} for n, entry in enumerate(told)])


def test_a_switch_that_goes_well() -> None:
    before = ("standby|r2", "started|r2", "standby_healthy|r2")
    assert story(*before).under_way
    done = story(*before, "exited|r1", "switched|r2", "healthy|r2")
    assert (done.done, done.error, done.share) == (True, None, 1.0)


@pytest.mark.parametrize(
    "end",
    ["standby_lost|r2|exit 1", "failed|r2|exit 1", "rolled_back|r1|r2: exit 1", "launcher_started||pid 1"],
)
def test_a_switch_that_fails_says_why(end: str) -> None:
    switch = story("standby|r2", "started|r2", end)
    assert switch.done
    assert switch.error


def test_a_second_switch_begins_anew() -> None:
    assert story("standby|r2", "standby_lost|r2|no", "staged|r2", "standby|r2").under_way


def test_another_release_of_a_longer_name_is_another_one() -> None:
    assert story("standby|r2", "rolled_back|r1|r22: exit 1").under_way


def test_only_what_concerns_releases_is_an_event_of_theirs() -> None:
    assert journal.event_of({"event": "backoff"}) is None
    entry = {"n": 1, "event": "rolled_back", "release": "r1", "reason": "r2: exit 1", "at": "2026"}
    assert journal.event_of(entry) == (
        "release.rolled_back",
        {"release": "r1", "reason": "r2: exit 1", "at": "2026"},
        False,
    )


@pytest.mark.parametrize(
    ("document", "lock", "why"),
    [
        (None, b"", "no pyproject.toml"),
        (b"[project", b"", "cannot be read"),
        (b"\xff", b"", "cannot be read"),
        (b'[project]\nname = "other"', b"", "does not describe"),
        (b"project = 3", b"", "does not describe"),
        (b'[project]\nname = "agent-toolkit-toolkit"', None, "no requirements.lock"),
    ],
)
def test_what_is_not_our_source_is_told_apart(document: bytes | None, lock: bytes | None, why: str) -> None:
    assert why in recipe.fault_of(document, lock)[1]


def test_the_commands_inherit_nothing_that_leads_elsewhere() -> None:
    given = {"PATH": "/bin", "PYTHONPATH": "/x", "ATT_HOME": "/h", "VIRTUAL_ENV": "/v", "GIT_DIR": "/g"}
    kept = recipe.environment(given)
    assert kept["PATH"] == "/bin"
    assert not kept.keys() & (given.keys() - {"PATH"})


def test_extras_are_held_to_the_lock() -> None:
    argv = recipe.after_wheel("wheels/a.whl", ["postgres"])[0].argv
    assert argv[-3:] == ("wheels/a.whl[postgres]", "--constraints", "source/requirements.lock")
