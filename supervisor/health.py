"""How well a run is, out of probe results in turn: startup, readiness and liveness in the kubelet's sense.

Until every startup probe has succeeded nothing else counts: the others do not run, and a failure has no consequence (the time
allowed for the start is the runner's). Probes for the start alone are not asked any more after that. A verdict then changes
only after as many equal results in a row as the threshold says; one success takes all failures back, and one failure all
successes. One result serves all uses of its probe, so that the app is asked as seldom as can be. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from supervisor.spec import ProbeKind, ProbeSpec, Use

FIRST_PAUSE, LAST_PAUSE, GROWTH = 0.1, 0.5, 1.5


class Change(Enum):
    """What a result brought about."""

    STARTED = auto()
    READY = auto()  # it can take work (again)
    UNHEALTHY = auto()  # a probe's verdict turned to unhealthy
    DEAD = auto()  # that probe was for liveness: the run is to be ended


@dataclass(frozen=True, slots=True)
class Tally:
    """What is known of one probe. `healthy` is the verdict, None before the first."""

    healthy: bool | None = None
    successes: int = 0  # in a row
    failures: int = 0  # in a row
    reason: str = ""  # of the last result

    def with_result(self, ok: bool, reason: str, spec: ProbeSpec, failures_count: bool) -> Tally:
        successes = self.successes + 1 if ok else 0
        failures = 0 if ok else self.failures + 1
        verdict = self.healthy
        if successes >= spec.success_threshold:
            verdict = True
        if failures >= spec.failure_threshold and failures_count:
            verdict = False
        return Tally(verdict, successes, failures, reason)


class Health:
    """The health of one run."""

    def __init__(self, probes: Sequence[ProbeSpec]) -> None:
        self._probes = tuple(probes)
        self._tallies = [Tally() for _ in probes]
        self.started = False
        self.ready = False

    @property
    def tallies(self) -> tuple[Tally, ...]:
        return tuple(self._tallies)

    def begin(self) -> list[Change]:
        """The process is there; so process probes have succeeded, and without startup probes it is up."""
        for index, probe in enumerate(self._probes):
            if probe.kind is ProbeKind.PROCESS:
                self._tallies[index] = Tally(True, max(1, probe.success_threshold), 0, "the process runs")
        return self._after_start()

    def go_on(self, ready: bool) -> None:
        """The run was up before we came; so it counts as well until its probes say otherwise. `ready`: it could take work."""
        for index, probe in enumerate(self._probes):
            if ready or Use.STARTUP in probe.use:
                self._tallies[index] = Tally(True, max(1, probe.success_threshold), 0, "it was well before")
        self.started, self.ready = True, ready

    def runs(self, index: int) -> bool:
        """Whether this probe is to be asked at all at the moment."""
        use = self._probes[index].use
        return bool(use - {Use.STARTUP}) if self.started else Use.STARTUP in use

    def record(self, index: int, ok: bool, reason: str = "") -> list[Change]:
        """Takes one result in. A result of a probe that is not to be asked is no result."""
        if not self.runs(index):
            return []
        probe, before = self._probes[index], self._tallies[index]
        after = self._tallies[index] = before.with_result(ok, reason, probe, failures_count=self.started)
        if not self.started:
            return self._after_start()
        changes = []
        if after.healthy is False and before.healthy is not False:
            changes.append(Change.UNHEALTHY)
            if Use.LIVENESS in probe.use:
                changes.append(Change.DEAD)
        return changes + self._readiness()

    def _after_start(self) -> list[Change]:
        waiting = any(
            Use.STARTUP in probe.use and tally.healthy is not True
            for probe, tally in zip(self._probes, self._tallies, strict=True)
        )
        if waiting:
            return []
        self.started = True
        # What failed while it was not up says nothing about how well it is now.
        self._tallies = [replace(tally, failures=0) for tally in self._tallies]
        return [Change.STARTED, *self._readiness()]

    def _readiness(self) -> list[Change]:
        before = self.ready
        self.ready = all(
            tally.healthy is True
            for probe, tally in zip(self._probes, self._tallies, strict=True)
            if probe.use & {Use.READINESS, Use.LIVENESS} and not _may_be_unknown(probe, tally)
        )
        return [Change.READY] if self.ready and not before else []

    @property
    def healthy(self) -> bool | None:
        """The verdict on the whole: None before the start is through, or before readiness is known."""
        if not self.started:
            return None
        if any(tally.healthy is False for tally in self._tallies):
            return False
        return True if self.ready else None

    @property
    def speaker(self) -> int | None:
        """The probe whose word decides: a failing one first, then one that has not spoken yet, then one that is still asked."""
        if not self._probes:
            return None
        rank = {False: 0, None: 1, True: 2}
        return min(
            range(len(self._probes)),
            key=lambda index: (rank[self._tallies[index].healthy], not self.runs(index), index),
        )


def _may_be_unknown(probe: ProbeSpec, tally: Tally) -> bool:
    """Liveness alone counts as well until it is known to be ill; readiness counts as missing until it is known."""
    return Use.READINESS not in probe.use and tally.healthy is None


def pause(probe: ProbeSpec, started: bool, asked: int) -> float:
    """How long to wait before it is asked for the `asked`-th time (from 0). While starting: soon, then a little less soon."""
    if asked == 0:
        return probe.initial_delay
    if probe.kind is ProbeKind.LOG:
        return 0.0  # asking it is waiting already
    if started:
        return probe.period
    return min(probe.period, LAST_PAUSE, FIRST_PAUSE * GROWTH ** min(asked, 20))
