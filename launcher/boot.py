"""What the launcher does next: the boot decisions as a table.

Events come in (`Died`, `Healthy`, `Tick` …, with the time as an argument), wishes go out as actions. Every
pair of state and event that can be stands in `TRANSITIONS`; another one is an error and changes nothing.
What a death asks for stands in `launcher.verdict`, what each rule does in `launcher.rules`.

What a life was is noted at its birth (`Boot.active`, and the record on disk before the process is started):
reading it at its death once made a broken release the "last good" one. Whatever changes the record is saved
before anything is done about it: `Save` is always the first action.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from launcher import events as ev
from launcher.events import State
from launcher.protocol.words import Any, ClassVar
from launcher.rules import Rules
from launcher.verdict import Kind, Verdict


class IllegalTransitionError(Exception):
    """The event makes no sense in this state."""


class Boot(Rules):
    """The tables at work."""

    ANSWERS: ClassVar[Mapping[Verdict, Callable[[Any, Kind, str, float], None]]] = {
        Verdict.LEAVE: Rules._leave,
        Verdict.RESTART: Rules._restart,
        Verdict.AGAIN: Rules._again,
        Verdict.WAIT: Rules._config,
        Verdict.TRY: Rules._try,
        Verdict.FAIL: Rules._fail,
        Verdict.FORGET: Rules._forget,
    }
    DUE: ClassVar[Mapping[State, Callable[[Any, float], None]]] = {
        State.WAITING: Rules._start,
        State.STARTING: Rules._start_late,
        State.HEALTHY: Rules._settle,
        State.DRAINING: Rules._force,
        State.ENDING: Rules._force,
        State.ANSWERING: Rules._retry_due,
        State.LEAVING: Rules._force,
    }

    KEPT: ClassVar[tuple[str, ...]] = (
        *("active", "standby", "standby_ready", "config_wrong", "_was_healthy", "_healthy_since", "_until"),
        *("_standby_until", "_standby_hung", "_delay_step", "_asked", "_leave_code"),
    )

    @property
    def leave_code(self) -> int:
        return self._leave_code

    def known(self) -> dict[str, Any]:
        """All that is known beside the record and the limits, for `resume` after this process has executed other code."""
        more = {"state": self.state.value, "ending": self._ending.value}
        return {name: getattr(self, name) for name in self.KEPT} | more

    def resume(self, known: Mapping[str, Any]) -> None:
        self.state, self._ending = State(known["state"]), Kind(known["ending"])
        for name in self.KEPT:
            setattr(self, name, known[name])

    def step(self, event: ev.Event, now: float) -> list[ev.Action]:
        """Take the event in; what is to be done, in this order."""
        rule = TRANSITIONS.get((self.state, type(event)))
        if rule is None:
            raise IllegalTransitionError(f"{type(event).__name__} makes no sense while {self.state.value}")
        before, self._out = self.record.dump(), []
        rule(self, event, now)
        if self.record.dump() != before:
            self._out.insert(0, ev.Save())
        return self._out


_Rule = Callable[[Any, Any, float], None]
S, B, DUE = State, Rules, Boot.DUE


def _rows(states: Iterable[State], rule: _Rule) -> dict[State, _Rule]:
    return dict.fromkeys(states, rule)


# one row an event, one column a state that has a daemon to speak of: what is not here cannot happen
_BY_EVENT: dict[type[Any], dict[State, _Rule]] = {
    ev.Begin: {S.WAITING: B._begin},
    ev.Tick: _rows(DUE, B._tick),
    ev.Healthy: {S.STARTING: B._healthy} | _rows((S.HEALTHY, S.DRAINING, S.ENDING, S.LEAVING), B._ignore),
    ev.Unhealthy: {S.HEALTHY: B._unhealthy} | _rows((S.STARTING, S.DRAINING, S.ENDING, S.LEAVING), B._ignore),
    ev.Died: _rows((S.STARTING, S.HEALTHY, S.DRAINING, S.ENDING), B._died) | {S.LEAVING: B._gone},
    ev.Staged: _rows(DUE, B._staged),
    ev.SwitchAsked: _rows(DUE, B._refuse) | {S.HEALTHY: B._switch_asked},
    ev.StandbyHealthy: _rows(DUE, B._standby_healthy) | {S.DRAINING: B._ignore, S.LEAVING: B._ignore},
    ev.StandbyLost: _rows(DUE, B._standby_lost),
    ev.StopAsked: _rows(DUE, B._stop),
    ev.RetryAsked: _rows(DUE, B._ignore)
    | {S.WAITING: B._start_now, S.ANSWERING: B._retry, S.HEALTHY: B._reload},
    ev.AppGone: _rows(DUE, B._ignore) | {S.ANSWERING: B._app_gone},
}
TRANSITIONS: dict[tuple[State, type[Any]], _Rule] = {
    (state, event): rule for event, row in _BY_EVENT.items() for state, rule in row.items()
}
