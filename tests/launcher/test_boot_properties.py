"""For any sequence of deaths, health results, stagings: never a failed release, never a loop without back-off, always a way out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from launcher import events as ev
from launcher.boot import Boot
from launcher.events import State
from launcher.record import INSTALLED, Entry, Record, ReleaseState, parse
from launcher.verdict import Kind

GOOD, FAILED = ReleaseState.GOOD, ReleaseState.FAILED

NAMES = ["r1", "r2", "r3"]
WORLD = st.one_of(
    st.sampled_from([*Kind]).map(lambda kind: ("died", kind)),
    st.sampled_from([*Kind]).map(lambda kind: ("standby_lost", kind)),
    st.sampled_from(["healthy", "unhealthy", "standby_healthy", "tick", "retry", "restart_launcher"]).map(
        lambda word: (word, None)
    ),
    st.sampled_from(NAMES).map(lambda name: ("staged", name)),
    st.sampled_from(NAMES).map(lambda name: ("switch", name)),
    st.floats(0.001, 100).map(lambda seconds: ("wait", seconds)),
)
RECORDS = st.builds(
    lambda current, states, deaths, tries: _with(Record(current, states), deaths, tries),
    st.sampled_from([*NAMES, INSTALLED]),
    st.fixed_dictionaries(
        {INSTALLED: st.just(ReleaseState.GOOD).map(Entry)}
        | {name: st.sampled_from([*ReleaseState]).map(Entry) for name in NAMES}
    ),
    st.integers(0, 6),
    st.integers(0, 6),
)


def _with(made: Record, deaths: int, tries: int) -> Record:
    made.deaths, made.tries = deaths, tries
    return made


class World:
    """Feeds a Boot what can really happen and holds it to its promises at every step."""

    def __init__(self, made: Record) -> None:
        self.now, self.spawns, self.history = 0.0, list[tuple[float, str]](), list[object]()
        self.config_wait = False
        self.boot = Boot(made)
        self.take(ev.Begin())

    def take(self, event: ev.Event) -> None:
        failed = {name for name, entry in self.boot.record.releases.items() if entry.state is FAILED}
        staged = {event.release} if isinstance(event, ev.Staged) else set()
        before = self.boot.record.dump()
        actions = self.boot.step(event, self.now)
        self.history.append((event, actions))
        if self.boot.record.dump() != before:
            assert actions[0] == ev.Save()
        for action in actions:
            if isinstance(action, ev.Spawn | ev.SpawnStandby):
                assert action.release not in failed - staged, "a failed release was run"
            if isinstance(action, ev.Spawn):
                self.spawns.append((self.now, action.release))
        back = [action for action in actions if isinstance(action, ev.Note) and action.event == "rolled_back"]
        for note in back:
            assert self.boot.record.state(note.release) is GOOD, "rolled back to something not good"
        assert parse(self.boot.record.dump()).dump() == self.boot.record.dump()
        self.has_a_way_out()

    def has_a_way_out(self) -> None:
        boot = self.boot
        alive = boot.active is not None or boot.standby is not None
        waits = boot.deadline is not None or (boot.state is State.ANSWERING and boot.config_wrong)
        assert alive or waits or boot.state is State.LEFT, f"stuck in {boot.state}"
        if boot.state is State.STARTING:
            assert boot.deadline is not None, "a start that may take for ever"

    def happen(self, word: str, what: object) -> None:
        boot = self.boot
        match word, what:
            case "wait", float(seconds):
                until = self.now + seconds
                while boot.deadline is not None and boot.deadline <= until:
                    self.now = max(self.now, boot.deadline)
                    self.take(ev.Tick())
                    if boot.state is State.LEFT:
                        return
                self.now = until
            case "tick", _ if boot.deadline is not None:
                self.now = max(self.now, boot.deadline)
                self.take(ev.Tick())
            case "died", Kind() as kind if boot.active is not None:
                self.take(ev.Died(kind, app=self.now % 2 < 1))
            case "healthy", _ if boot.state is State.STARTING:
                self.take(ev.Healthy())
            case "unhealthy", _ if boot.state is State.HEALTHY:
                self.take(ev.Unhealthy("sick"))
            case "standby_healthy", _ if boot.standby is not None and not boot.standby_ready:
                self.take(ev.StandbyHealthy())
            case "standby_lost", Kind() as kind if boot.standby is not None:
                self.take(ev.StandbyLost(kind))
            case "staged", str(name):
                self.take(ev.Staged(name))
            case "switch", str(name):
                self.take(ev.SwitchAsked(name))
            case "retry", _:
                self.take(ev.RetryAsked())
            case "restart_launcher", _:
                self.boot = Boot(parse(boot.record.dump()))
                self.take(ev.Begin())


@settings(max_examples=300, deadline=None)
@given(RECORDS, st.lists(WORLD, max_size=80))
def test_it_never_runs_a_failed_release_and_always_has_a_way_out(
    made: Record, script: list[tuple[str, object]]
) -> None:
    world = World(made)
    for word, what in script:
        if world.boot.state is State.LEFT:
            break
        world.happen(word, what)
    if world.boot.state is not State.LEFT:
        world.take(ev.StopAsked())
        for _ in range(3):
            world.happen("died", Kind.CLEAN)
            world.happen("standby_lost", Kind.CLEAN)
        assert world.boot.state is State.LEFT


@settings(max_examples=150, deadline=None)
@given(RECORDS, st.lists(st.tuples(st.sampled_from([*Kind]), st.booleans()), min_size=60, max_size=200))
def test_it_never_loops_without_back_off(made: Record, lives: list[tuple[Kind, bool]]) -> None:
    """However its lives end, at once: no more than a bounded number of starts in any 10 seconds."""
    world = World(made)
    for kind, healthy in lives:
        if healthy and world.boot.state is State.STARTING:
            world.take(ev.Healthy())
        if world.boot.active is not None:
            world.take(ev.Died(kind, app=True))
        while world.boot.active is None and world.boot.deadline is not None:
            world.happen("tick", None)
        if world.boot.active is None:
            break
    times = [at for at, _ in world.spawns]
    allowed = (
        40  # four releases and two rungs, each with the first steps of the back-off, and the asked restarts
    )
    for at in times:
        assert sum(1 for other in times if at <= other < at + 10) <= allowed


@settings(max_examples=150, deadline=None)
@given(RECORDS, st.lists(WORLD, max_size=40))
def test_after_any_history_a_daemon_that_is_well_ends_up_running(
    made: Record, script: list[tuple[str, object]]
) -> None:
    world = World(made)
    for word, what in script:
        if world.boot.state is State.LEFT:
            return
        world.happen(word, what)
    if world.boot.state in (State.LEFT, State.LEAVING):
        return
    world.happen("retry", None)
    for _ in range(60):
        if world.boot.state is State.STARTING:
            world.happen("healthy", None)
        elif world.boot.state in (State.ENDING, State.DRAINING) and world.boot.active is not None:
            world.happen("died", Kind.RESTART)
        elif world.boot.standby is not None:
            world.happen("standby_healthy", None)
        elif world.boot.state is State.HEALTHY:
            break
        elif world.boot.deadline is not None:
            world.happen("tick", None)
    assert world.boot.state is State.HEALTHY
    world.happen("wait", 61.0)
    assert world.boot.record.state(world.boot.active) is GOOD
