"""What each event does in each state: the rules behind the table of `launcher.boot`. No clock, no process,
no file.

The ladder when a good release does not come up: the good one before it, safe mode, the launcher's own answer,
from which it tries again after a long while, on SIGHUP and on a new release: there is always a way out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from launcher import events as ev
from launcher.events import State
from launcher.protocol.words import Any, ClassVar
from launcher.record import CANDIDATE, INSTALLED, Record, ReleaseState, Rung
from launcher.verdict import CONFIG_CODE, VERDICTS, Kind, Limits, Verdict


class Rules:
    """Decides about at most two lives.

    The active one and a standby. `record` is what outlives the launcher.
    """

    ANSWERS: ClassVar[Mapping[Verdict, Callable[[Any, Kind, str, float], None]]]
    DUE: ClassVar[Mapping[State, Callable[[Any, float], None]]]

    def __init__(self, record: Record, limits: Limits | None = None) -> None:
        self.record, self.limits = record, limits or Limits()
        self.state = State.WAITING
        self.active: str | None = None
        self.standby: str | None = None
        self.standby_ready = False
        self.config_wrong = False  # ANSWERING because of the configuration
        self._was_healthy = False
        self._healthy_since = 0.0
        self._until: float | None = None
        self._standby_until: float | None = None
        self._standby_hung = False
        self._ending = Kind.HUNG  # what the death of the life in ENDING counts as
        self._delay_step = 0
        self._asked = 0  # restarts asked for since the last long health
        self._leave_code = 0
        self._out: list[ev.Action] = []

    @property
    def deadline(self) -> float | None:
        """When the next `Tick` is wanted."""
        return min((at for at in (self._until, self._standby_until) if at is not None), default=None)

    # -- starting

    def _begin(self, _event: ev.Begin, now: float) -> None:
        record = self.record
        if record.clean:  # the last stop was asked for: a fresh chance
            record.rung, record.deaths, record.given_up = Rung.NORMAL, 0, []
        record.clean = False
        if record.state(record.current) in CANDIDATE and record.tries >= self.limits.tries:
            self._take_back(now, "it did not become good in time")
        else:
            self._start(now)

    def _start(self, now: float) -> None:
        record = self.record
        release = self._choose()
        if release is None:
            self._answer(now, "no release is left that can be started", self.limits.retry)
            return
        record.current = release
        if record.state(release) is ReleaseState.STAGED:
            record.mark(release, ReleaseState.TRYING)
        if record.state(release) in CANDIDATE:
            record.tries += 1
        self.active, self._was_healthy = release, False
        self._enter(State.STARTING, now + self.limits.start_timeout)
        self._out.append(ev.Spawn(release, safe=record.rung is Rung.SAFE))

    def _choose(self) -> str | None:
        record = self.record
        if record.state(record.current) not in (None, ReleaseState.FAILED):
            return record.current
        waiting = [name for name, entry in record.releases.items() if entry.state is ReleaseState.STAGED]
        return record.fallback() or (waiting[-1] if waiting else None)

    def _wait(self, now: float) -> None:
        delays = self.limits.delays
        delay = delays[min(self._delay_step, len(delays) - 1)]
        self._delay_step += 1
        if delay <= 0:
            self._start(now)
            return
        self._enter(State.WAITING, now + delay)
        self._out.append(ev.Note("backoff", self.record.current, f"next start in {delay:g} s"))

    def _enter(self, state: State, until: float | None) -> None:
        self.state, self._until = state, until

    def _answer(self, now: float, reason: str, retry: float | None, config: bool = False) -> None:
        self.config_wrong = config
        self._enter(State.ANSWERING, None if retry is None else now + retry)
        self._out += [ev.Note("answering", self.record.current, reason), ev.Answer(reason)]

    def _retry(self, _event: ev.Event, now: float) -> None:
        if self.record.state(self.record.staged) is ReleaseState.STAGED:
            self._switch()
        self._retry_due(now)

    # -- health

    def _healthy(self, _event: ev.Healthy, now: float) -> None:
        record = self.record
        self._was_healthy, self._healthy_since = True, now
        record.deaths = 0
        if record.rung is Rung.LAST:
            record.rung = Rung.NORMAL
        if self.active is not None and record.state(self.active) is ReleaseState.TRYING:
            record.mark(self.active, ReleaseState.PROBATION)
        self._out.append(ev.Note("healthy", self.active))
        self._enter(State.HEALTHY, now)
        self._settle(now)

    def _settle(self, now: float) -> None:
        """What continuous health has brought by now, and when it brings more."""
        record, limits, since = self.record, self.limits, self._healthy_since
        if now >= since + limits.reset_after:
            self._delay_step = self._asked = 0
            if record.rung is Rung.NORMAL:
                record.given_up = []
        if (
            now >= since + limits.probation
            and self.active is not None
            and record.state(self.active) in CANDIDATE
        ):
            record.mark(self.active, ReleaseState.GOOD)
            record.tries = 0
            self._out.append(ev.Note("good", self.active))
        ahead = [since + lasts for lasts in (limits.reset_after, limits.probation)]
        self._until = min((at for at in ahead if at > now), default=None)

    def _unhealthy(self, event: ev.Unhealthy, now: float) -> None:
        self._out.append(ev.Note("unhealthy", self.active, event.why))
        self._end(now, Kind.KILLED if event.outside else Kind.HUNG, force=True)

    def _end(self, now: float, counts_as: Kind, force: bool = False) -> None:
        self._ending = counts_as
        self._enter(State.ENDING, now + self.limits.grace)
        self._out.append(ev.End(force))

    # -- deaths

    def _died(self, event: ev.Died, now: float) -> None:
        record = self.record
        ended = self.state is State.ENDING and not event.outside
        kind = self._ending if ended else event.kind
        release, healthy, self.active, self._was_healthy = self.active, self._was_healthy, None, False
        self._out.append(ev.Note("exited", release, event.text or kind.value))
        if healthy and now >= self._healthy_since + self.limits.reset_after:
            self._delay_step = self._asked = 0
        if not healthy:
            record.deaths += 1
        if self.standby_ready:
            self._activate(now)
            return
        verdict = VERDICTS[record.state(release) in CANDIDATE, healthy][kind]
        if verdict is Verdict.WAIT and not event.app:
            verdict, self._leave_code = Verdict.LEAVE, CONFIG_CODE
        self.ANSWERS[verdict](self, kind, event.text or kind.value, now)

    def _leave(self, _kind: Kind, _text: str, now: float) -> None:
        self._go(now)

    def _again(self, _kind: Kind, text: str, now: float) -> None:
        record = self.record
        if record.rung is Rung.LAST:
            self._answer(now, f"the daemon does not come up: {text}", self.limits.retry)
        elif record.deaths >= self.limits.deaths:
            self._next_rung(text, now)
        else:
            self._wait(now)

    def _next_rung(self, text: str, now: float) -> None:
        record = self.record
        record.deaths = self._delay_step = 0
        if record.rung is Rung.SAFE:
            record.rung = Rung.LAST
            self._answer(
                now, f"the daemon does not come up, not even in safe mode: {text}", self.limits.retry
            )
            return
        if record.current is not None and record.current not in record.given_up:
            record.given_up.append(record.current)
        if (back := record.fallback()) is not None:
            record.previous, record.current = record.current, back
            self._out.append(ev.Note("rolled_back", back, f"{record.previous} does not come up: {text}"))
        else:
            record.rung = Rung.SAFE
            if record.state(record.given_up[0] if record.given_up else None) is ReleaseState.GOOD:
                record.current = record.given_up[0]
            self._out.append(ev.Note("safe_mode", record.current, text))
        self._start(now)

    def _restart(self, _kind: Kind, _text: str, now: float) -> None:
        record = self.record
        record.rung, record.given_up = Rung.NORMAL, []
        if record.state(record.staged) in (ReleaseState.STAGED, ReleaseState.GOOD):
            self._switch()
            self._start(now)
            return
        self._asked += 1
        if self._asked > self.limits.asked:
            self._wait(now)
        else:
            self._start(now)

    def _config(self, _kind: Kind, text: str, now: float) -> None:
        self._answer(now, f"the configuration is wrong: {text}", None, config=True)

    def _try(self, kind: Kind, text: str, now: float) -> None:
        if self.record.tries < self.limits.tries:
            self._wait(now)
        elif kind is Kind.KILLED:
            self._take_back(now, f"killed from outside again and again: {text}")
        else:
            self._fail(kind, text, now)

    def _take_back(self, now: float, reason: str) -> None:
        """The candidate is left without a verdict: it may be switched to again, by whoever wants to."""
        assert self.record.current is not None  # noqa: S101
        self.record.mark(self.record.current, ReleaseState.STAGED, reason)
        self._go_back(now, reason)

    def _fail(self, _kind: Kind, text: str, now: float) -> None:
        assert self.record.current is not None  # noqa: S101
        self.record.mark(self.record.current, ReleaseState.FAILED, text)
        self._out.append(ev.Note("failed", self.record.current, text))
        self._go_back(now, text)

    def _go_back(self, now: float, reason: str) -> None:
        record = self.record
        left, back = record.current, record.fallback()
        record.tries = record.deaths = self._delay_step = 0
        record.current, record.previous = back, None
        if back is None:
            self._answer(
                now,
                f"{left} did not stand and there is no good release to go back to: {reason}",
                self.limits.retry,
            )
            return
        record.previous = record.fallback()
        self._out.append(ev.Note("rolled_back", back, f"{left}: {reason}"))
        self._start(now)

    def _forget(self, kind: Kind, text: str, now: float) -> None:
        record, gone = self.record, self.record.current
        if gone is None or gone == INSTALLED:
            self._again(kind, text, now)
            return
        record.forget(gone)
        self._out.append(ev.Note("missing", gone, text))
        self._go_back(now, text)

    # -- releases

    def _staged(self, event: ev.Staged, _now: float) -> None:
        record = self.record
        if event.release in (record.current, self.active, self.standby):
            self._out.append(ev.Note("stage_refused", event.release, "it is the one that runs"))
            return
        if record.state(event.release) is not ReleaseState.GOOD:
            record.releases.pop(event.release, None)
            record.mark(event.release, ReleaseState.STAGED)
        record.staged = event.release
        self._out.append(ev.Note("staged", event.release))

    def _switch(self) -> None:
        """The staged release becomes the current one, cold: what ran before has ended."""
        self.record.become(self.record.staged)
        self._delay_step = 0
        self._out.append(ev.Note("switching", self.record.current))

    def _switch_asked(self, event: ev.SwitchAsked, now: float) -> None:
        record, release = self.record, event.release
        allowed = record.state(release) in (ReleaseState.STAGED, ReleaseState.GOOD)
        if not allowed or release == record.current or self.standby is not None:
            self._refuse(event, now)
            return
        self.standby, self.standby_ready, self._standby_hung = release, False, False
        self._standby_until = now + self.limits.start_timeout
        if record.state(release) is ReleaseState.STAGED:
            record.mark(release, ReleaseState.TRYING)
        self._out += [ev.Note("standby", release), ev.SpawnStandby(release)]

    def _refuse(self, event: ev.SwitchAsked, _now: float) -> None:
        state = self.record.state(event.release)
        why = f"the launcher is {self.state.value}, the release {'unknown' if state is None else state.value}"
        self._out.append(ev.Note("switch_refused", event.release, why))

    def _standby_healthy(self, _event: ev.StandbyHealthy, now: float) -> None:
        self.standby_ready, self._standby_until = True, None
        self._out.append(ev.Note("standby_healthy", self.standby))
        if self.active is None:
            self._activate(now)
        elif self.state is not State.ENDING:
            self._enter(State.DRAINING, now + self.limits.drain)
            self._out.append(ev.Drain())

    def _activate(self, now: float) -> None:
        new = self.standby
        self.record.become(new)
        self.record.tries, self._delay_step = 1, 0
        self.active, self.standby, self.standby_ready, self._standby_until = new, None, False, None
        self._was_healthy = False
        self._enter(State.STARTING, now + self.limits.start_timeout)
        self._out += [ev.Note("switched", new), ev.Activate()]

    def _standby_lost(self, event: ev.StandbyLost, now: float) -> None:
        lost, hung = self.standby, self._standby_hung
        self.standby, self.standby_ready, self._standby_until = None, False, None
        if lost is None:
            return
        kind = Kind.HUNG if hung and not event.outside else event.kind
        if self.record.state(lost) is ReleaseState.TRYING:
            if kind is Kind.KILLED or self.state is State.LEAVING:
                self.record.mark(lost, ReleaseState.STAGED, event.text)
            else:
                self.record.mark(lost, ReleaseState.FAILED, event.text or kind.value)
        if self.record.staged == lost:
            self.record.staged = None
        self._out.append(ev.Note("standby_lost", lost, event.text or kind.value))
        if self.state is State.DRAINING:  # the old one leaves all the same; it is started again
            self._ending = Kind.RESTART
            self._enter(State.ENDING, now + self.limits.drain)
        elif self.state is State.LEAVING:
            self._go(now)

    # -- time and people

    def _tick(self, _event: ev.Tick, now: float) -> None:
        if self._standby_until is not None and now >= self._standby_until:
            self._standby_until, self._standby_hung = None, True
            self._out.append(ev.EndStandby(force=True))
        if self._until is not None and now >= self._until:
            self.DUE[self.state](self, now)

    def _start_late(self, now: float) -> None:
        self._out.append(
            ev.Note("unhealthy", self.active, f"not healthy within {self.limits.start_timeout:g} s")
        )
        self._end(now, Kind.HUNG, force=True)

    def _force(self, now: float) -> None:
        self._until = now + self.limits.grace
        if self.active is not None:
            self._out.append(ev.End(force=True))
        if self.standby is not None and self.state is State.LEAVING:
            self._out.append(ev.EndStandby(force=True))

    def _retry_due(self, now: float) -> None:
        self.record.given_up = []
        self._start(now)

    def _start_now(self, _event: ev.RetryAsked, now: float) -> None:
        self._start(now)

    def _reload(self, _event: ev.RetryAsked, now: float) -> None:
        if self.record.rung is Rung.SAFE:
            self._end(now, Kind.RESTART)
        else:
            self._out.append(ev.Reload())

    def _stop(self, _event: ev.StopAsked, now: float) -> None:
        if self.state is State.LEAVING:
            self._force(now)  # asked twice: no more patience
        else:
            self._go(now)

    def _go(self, now: float) -> None:
        if self.active is None and self.standby is None:
            self.record.clean = True
            self._enter(State.LEFT, None)
            self._out.append(ev.Leave(self._leave_code))
        elif self.state is not State.LEAVING:
            self._enter(State.LEAVING, now + self.limits.grace)
            self._out += [ev.End()] if self.active is not None else []
            self._out += [ev.EndStandby()] if self.standby is not None else []

    def _gone(self, event: ev.Died, now: float) -> None:
        self._out.append(ev.Note("exited", self.active, event.text or event.kind.value))
        self.active = None
        self._go(now)

    def _app_gone(self, _event: ev.AppGone, now: float) -> None:
        if self.config_wrong:
            self._leave_code = CONFIG_CODE
            self._go(now)

    def _ignore(self, _event: ev.Event, _now: float) -> None:
        """It comes too late, or says nothing new."""
