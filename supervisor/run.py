"""One run of an app, while it lives: its probes, its memory limit, its end, its figures.

It tells the runner what it sees through one callback, and changes nothing by itself. All its tasks end with it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from supervisor.health import Change, Health, pause
from supervisor.keeper import Exit, Keeper
from supervisor.logs.errors import LogError
from supervisor.probes import Prober, Result, Surroundings, check
from supervisor.report import Living, ProbeStatus
from supervisor.resources import Figures, Meter, resident
from supervisor.restart import Cause
from supervisor.spec import AppSpec, ProbeKind, ProbeSpec
from supervisor.teller import complain

if TYPE_CHECKING:
    from supervisor.logs.log import Log

MEMORY_PERIOD = 2.0


@dataclass(frozen=True, slots=True)
class Ended:
    """Its first process has ended."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class Changed:
    """Its health has changed, by this probe ("" when by none)."""

    run_id: str
    change: Change
    probe: str
    reason: str


@dataclass(frozen=True, slots=True)
class Troubled:
    """It is to be ended."""

    run_id: str
    cause: Cause
    reason: str


News = Ended | Changed | Troubled


class Run:
    def __init__(
        self, run_id: str, pid: int, spec: AppSpec, keeper: Keeper, tell: Callable[[News], None]
    ) -> None:
        self.run_id = run_id
        self.pid = pid
        self.spec = spec
        self.began = time.monotonic()
        self.began_at = datetime.now(UTC)
        self.ready_at: datetime | None = None
        self.trouble: Troubled | None = None
        self.asked_to_leave: float | None = None
        self.killed = False
        self.health = Health(spec.probes)
        self._keeper = keeper
        self._tell = tell
        self._meter = Meter()
        self._asked: list[tuple[datetime, float] | None] = [None] * len(spec.probes)
        self._through = asyncio.Event()  # the start is
        self._tasks: list[asyncio.Task[None]] = []

    def take_over(self, living: Living) -> None:
        """It began under an earlier life of the daemon."""
        self.began_at, self.ready_at = living.started_at, living.ready_at
        self.began -= max(0.0, (datetime.now(UTC) - living.started_at).total_seconds())
        if living.ready_at is not None:
            self.health.go_on(ready=True)
            self._through.set()

    def begin(self, prober: Prober, log: Log, cursor: str) -> None:
        """From now on it is watched and asked."""
        self._do(self._wait_for_end(), "end")
        around = Surroundings(self.run_id, self.spec.cwd, self.spec.env, log, cursor)
        for index, probe in enumerate(self.spec.probes):
            said = probe.kind is ProbeKind.LOG and self.health.tallies[index].healthy
            if probe.kind is not ProbeKind.PROCESS and not said:  # what was said was said
                self._do(self._ask(index, probe, prober, around), f"probe-{_name(probe)}")
        if self.spec.memory_limit is not None:
            self._do(self._mind_memory(self.spec.memory_limit), "memory")
        now = datetime.now(UTC)
        for index, probe in enumerate(self.spec.probes):
            if probe.kind is ProbeKind.PROCESS:
                self._asked[index] = now, 0.0
        if not self.health.started:
            self._pass_on(self.health.begin(), "", "")

    def end(self) -> None:
        """No more questions, no more news."""
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """All its tasks are over (a probe's command has been ended too)."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _do(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"{name}-{self.run_id}")
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def _wait_for_end(self) -> None:
        self._tell(Ended(await self._keeper.exited(self.run_id)))

    async def _ask(self, index: int, spec: ProbeSpec, prober: Prober, around: Surroundings) -> None:
        if not self.health.runs(index):
            await self._through.wait()
        try:
            probe = prober.probe(spec, around)
        except (LogError, re.error) as error:
            self._take(index, Result(False, f"this probe cannot work: {error}", 0.0))
            return
        if probe is None:
            return
        asked = 0
        while True:
            await asyncio.sleep(pause(spec, self.health.started, asked))
            if not self.health.runs(index):
                return  # it was for the start alone
            try:
                result = await check(probe, spec.timeout)
            except LogError as error:
                self._take(index, Result(False, str(error), 0.0))
                return
            asked += 1
            self._take(index, result)
            if spec.kind is ProbeKind.LOG and result.ok:
                return  # what was said was said

    def _take(self, index: int, result: Result) -> None:
        self._asked[index] = datetime.now(UTC), result.latency
        changes = self.health.record(index, result.ok, result.reason)
        self._pass_on(changes, _name(self.spec.probes[index]), result.reason)

    def _pass_on(self, changes: list[Change], probe: str, reason: str) -> None:
        if self.health.started:
            self._through.set()
        for change in changes:
            self._tell(Changed(self.run_id, change, probe, reason))

    async def _mind_memory(self, limit: int) -> None:
        while True:
            await asyncio.sleep(MEMORY_PERIOD)
            used = resident(await self._keeper.members(self.run_id))
            if used > limit:
                reason = (
                    f"it used {used / 2**20:.0f} MiB of memory, above its limit of {limit / 2**20:.0f} MiB"
                )
                self._tell(Troubled(self.run_id, Cause.ILL, reason))
                return

    async def figures(self) -> Figures:
        members = await self._keeper.members(self.run_id)
        return self._meter.sample(members, time.monotonic(), time.time())

    def probes(self) -> tuple[ProbeStatus, ...]:
        told = zip(self.spec.probes, self.health.tallies, self._asked, strict=True)
        return tuple(
            ProbeStatus(
                name=_name(spec),
                kind=spec.kind.value,
                use=tuple(sorted(use.value for use in spec.use)),
                healthy=tally.healthy,
                reason=tally.reason,
                checked_at=asked[0] if asked else None,
                latency_ms=round(asked[1] * 1000, 2) if asked else None,
                successes=tally.successes,
                failures=tally.failures,
            )
            for spec, tally, asked in told
        )


def new_run_id() -> str:
    """Sortable by time, and never given twice."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{secrets.token_hex(4)}"


def _report(task: asyncio.Task[None]) -> None:
    """A mistake of ours must not look like an app that is not ready."""
    if not task.cancelled() and isinstance(error := task.exception(), Exception):
        complain(f"{task.get_name()} has broken", error)


def _name(probe: ProbeSpec) -> str:
    return probe.name or probe.kind.value
