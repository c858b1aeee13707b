"""The one task that owns an app: takes wishes, exits, changes of health and timers in turn, and does what the table says.

It decides nothing itself (lifecycle, restart and health do) and it is the only one that changes the state of the app. All
that happened is told, in order, as the values of report.py. Everybody else puts messages into its inbox.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from signal import SIGKILL
from typing import TYPE_CHECKING

from supervisor import ends, scratch
from supervisor.errors import AlreadyRunning, NotRunning, StartCancelled, StartFailed, SupervisorError
from supervisor.health import Change
from supervisor.keeper import Exit, Keeper, SpawnOrder
from supervisor.lifecycle import ALIVE, BY_POLICY, Action, Event, IllegalTransition, Phase, step
from supervisor.logs.errors import LogError
from supervisor.probes import Prober
from supervisor.report import (
    Exited,
    Failed,
    Living,
    Ready,
    Restarted,
    Started,
    Stopped,
    StopReport,
    Unhealthy,
    Waiting,
)
from supervisor.restart import Again, Cause, Death, Done, GiveUp, Memory, Restarts, Verdict
from supervisor.run import Changed, Ended, News, Run, Troubled, new_run_id
from supervisor.spec import AppSpec
from supervisor.status import Past
from supervisor.teller import OnEvent, Teller, complain
from supervisor.watch import Watcher
from supervisor.wishes import Promote, Wish, Wishes

if TYPE_CHECKING:
    from supervisor.logs.log import Log

LEFTOVER_GRACE = 2.0  # for what the first process left behind, out of what remains of its own grace
LAST_WORDS = 2.0  # how long the end of a run's output is waited for before its end is told


LEAST_START = 10.0  # what is left of the time for a start that an earlier life began, at least


class Leave:
    """To the task: no more; the app lives on with its keeper."""


@dataclass(frozen=True, slots=True)
class _Due:
    """A timer has run out; an older one than the present is nothing."""

    event: Event
    serial: int


class Owner:
    """`phase`, `run` and `past` are for reading; `inbox` takes what is to be dealt with."""

    def __init__(
        self,
        spec: AppSpec,
        keeper: Keeper,
        log: Log,
        on_event: OnEvent,
        held: bool = False,
    ) -> None:
        self.spec = spec
        self._held = held  # until it is promoted nobody tells it to take connections
        self._keeper = keeper
        self._log = log
        self._teller = Teller(on_event, keeper)
        self.phase = Phase.STOPPED
        self.run: Run | None = None
        self.past = Past()
        self._wishes = Wishes()
        self._restarts = Restarts(spec.restart)
        self._prober = Prober(keeper.id)
        self.inbox: asyncio.Queue[Wish | News | Promote | _Due | Leave | tuple[str, ...]] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._serial = 0
        self._delay = 0.0
        self._ending: Exited | None = (
            None  # how the last run ended, until REST or the next run tells what came of it
        )
        self._watcher = Watcher(self.inbox.put_nowait)
        self._actions: dict[Action, Callable[[], Awaitable[None]]] = {
            Action.SPAWN: self._spawn,
            Action.FRESH: self._fresh,
            Action.ASK: self._ask_to_leave,
            Action.KILL: self._kill,
            Action.DISARM: self._disarm,
            Action.WAIT: self._wait_to_restart,
            Action.REST: self._rest,
        }

    # -- lives of the daemon

    def adopt(self, living: Living) -> None:
        """Before its task begins: a run of an earlier life goes on, or how it ended meanwhile is taken in now."""
        run = self.run = Run(living.run_id, living.pid, self.spec, self._keeper, self.inbox.put_nowait)
        run.take_over(living)
        self._recall(living.run_id, living.restarts, living.memory)
        self.phase = Phase.RUNNING if living.ready_at else Phase.STARTING
        if self.phase is Phase.STARTING:
            left = self.spec.start_timeout - (time.monotonic() - run.began)
            self._arm(Event.END, max(left, min(LEAST_START, self.spec.start_timeout)))
        run.begin(self._prober, self._log, living.cursor)

    def wait_on(self, waiting: Waiting) -> None:
        """Before its task begins: an earlier life was about to start the app again."""
        self._recall(waiting.ended.run_id, waiting.restarts, waiting.memory)
        self.past.reason = waiting.ended.reason
        self.past.backoff_until = waiting.due
        self._ending = waiting.ended
        self.phase = Phase.BACKOFF
        self._arm(Event.OVER, max(0.0, (waiting.due - datetime.now(UTC)).total_seconds()))

    def _recall(self, run_id: str, restarts: int, memory: Memory) -> None:
        self._restarts.recall(memory, time.monotonic())
        self.past.run_id, self.past.restarts = run_id, restarts

    @property
    def memory(self) -> Memory:
        """Of the deaths so far."""
        return self._restarts.memory(time.monotonic())

    async def aclose(self) -> None:
        """After its task has ended."""
        await self._disarm()
        if self.run is not None:  # it lives on without us
            self.run.end()
            await self.run.ended()
        await self._watcher.turn_off()
        await self._prober.aclose()
        await self._teller.aclose()

    def abandon(self, error: SupervisorError) -> None:
        """Nobody will be answered any more."""
        self._wishes.abandon(error)
        while not self.inbox.empty():
            if isinstance(message := self.inbox.get_nowait(), Promote) and not message.done.done():
                message.done.set_exception(error)

    # -- the task

    async def own(self) -> None:
        if self.run is not None:
            await self._watcher.turn_on(self.spec.cwd, self.spec.watch, self.spec.watch_debounce)
            if self.phase is Phase.RUNNING:
                await self._open_gate(self.run)  # an earlier life may have died just before it did
        while not isinstance(message := await self.inbox.get(), Leave):
            try:
                await self._take(message)
            except Exception as error:
                # A mistake of ours: told, and whoever asked is not left waiting; the app goes on being looked after.
                complain("the runner could not deal with a message", error)
                if isinstance(message, Wish | Promote) and not message.done.done():
                    message.done.set_exception(error)

    async def _take(self, message: Wish | News | Promote | _Due | tuple[str, ...]) -> None:
        run = self.run
        match message:
            case Wish():
                await self._grant(message)
            case Promote():
                await self._promote(message)
            case Ended(exit) if run and exit.run_id == run.run_id:
                await self._gone(run, exit)
            case Changed(run_id, change, probe, reason) if run and run_id == run.run_id:
                await self._health_changed(run, change, probe, reason)
            case Troubled(run_id) if run and run_id == run.run_id:
                await self._end(run, message)
            case _Due(event, serial) if serial == self._serial:
                if event is Event.END and run:
                    limit = f"it was not up within {run.spec.start_timeout:g} s"
                    await self._end(run, Troubled(run.run_id, Cause.ILL, limit))
                else:
                    await self._step(event)
            case tuple() if run:
                paths = ", ".join(message[:5]) + (" …" if len(message) > 5 else "")
                await self._end(run, Troubled(run.run_id, Cause.CHANGE, f"watched files changed: {paths}"))

    async def _step(self, event: Event) -> None:
        self.phase, actions = step(self.phase, event)
        for action in actions:
            await self._actions[action]()

    async def _grant(self, wish: Wish) -> None:
        if wish.done.done():
            return  # given up before it was heard
        before = self.phase
        try:
            after, _ = step(before, wish.event)
        except IllegalTransition as refusal:
            kind = NotRunning if wish.event is Event.STOP else AlreadyRunning
            wish.done.set_exception(kind(f"{refusal}."))
            return
        if wish.event is Event.STOP:
            self._wishes.refuse(StartCancelled("A stop was asked for while the start was waited for."))
        elif after is Phase.RECYCLING and before is not Phase.RECYCLING:
            self._wishes.wait_for_next()
        if before not in ALIVE:
            self._ending = None  # what a person starts takes nobody's place
        self._wishes.add(wish)
        await self._step(wish.event)
        if wish.event is Event.STOP and before not in ALIVE:
            self._wishes.stopped(StopReport(self.past.run_id or "", None, None, False, 0, 0.0))

    async def _promote(self, message: Promote) -> None:
        if message.done.done():
            return
        if self.run is None or self.phase is not Phase.RUNNING:
            message.done.set_exception(NotRunning(f"It ended: {self.past.reason or 'it is not up'}."))
            return
        self._held, self.spec = False, message.spec
        self._restarts.fresh(message.spec.restart)
        await self._open_gate(self.run)
        message.done.set_result(None)

    async def _open_gate(self, run: Run) -> None:
        if run.spec.gate and not self._held:
            await self._keeper.signal(run.run_id, run.spec.gate)

    # -- what the table asks for

    async def _fresh(self) -> None:
        self._restarts.fresh(self.spec.restart)
        self.past.restarts = 0
        self.past.reason = ""

    async def _spawn(self) -> None:
        spec, run_id, ending = self.spec, new_run_id(), self._ending
        self.past.backoff_until = None
        order = SpawnOrder(run_id, spec.command, spec.cwd, spec.env, spec.log, spec.socket)
        try:
            if spec.private_tmp is not None:
                scratch.renew(spec.private_tmp)
            cursor = self._log.newest
            spawned = await self._keeper.spawn(order)
        except SupervisorError as error:
            await self._cannot(error)
            return
        except (OSError, LogError) as error:
            await self._cannot(SupervisorError(f"It could not be started: {error}."))
            return
        run = self.run = Run(run_id, spawned.pid, spec, self._keeper, self.inbox.put_nowait)
        self._ending = None
        self.past.run_id = run_id
        self._arm(Event.END, spec.start_timeout)
        self._teller.tell(Started(run_id, run.began_at, run.pid))
        if ending is not None:
            self.past.restarts += 0 if ending.asked else 1
            self._teller.tell(
                Restarted(run_id, run.began_at, ending.run_id, self.past.restarts, ending.reason)
            )
        self._wishes.begun(run_id)
        run.begin(self._prober, self._log, cursor)
        await self._watcher.turn_on(spec.cwd, spec.watch, spec.watch_debounce)

    async def _cannot(self, error: SupervisorError) -> None:
        self.past.reason = str(error).removesuffix(".")
        self.past.code = error.code
        if self._ending is None or self._wishes.want_a_run:
            self._wishes.refuse(error)
            await self._step(Event.CANNOT)
            return
        death = Death(Cause.ILL, None, None, 0.0)
        await self._follow(self._restarts.answer(death, time.monotonic(), random.random()))  # noqa: S311

    async def _ask_to_leave(self) -> None:
        run = self.run
        if run is None:
            return
        run.asked_to_leave = time.monotonic()
        await self._keeper.signal(run.run_id, run.spec.stop_signal)
        self._arm(Event.SLOW, run.spec.stop_grace)

    async def _kill(self) -> None:
        if self.run is not None:
            self.run.killed = True
            await self._keeper.signal(self.run.run_id, SIGKILL)

    async def _disarm(self) -> None:
        self._serial += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, event: Event, seconds: float) -> None:
        self._serial += 1
        due = _Due(event, self._serial)
        self._timer = asyncio.get_running_loop().call_later(seconds, self.inbox.put_nowait, due)

    async def _wait_to_restart(self) -> None:
        if self._delay <= 0:
            await self._step(Event.OVER)
            return
        self.past.backoff_until = datetime.now(UTC) + timedelta(seconds=self._delay)
        self._arm(Event.OVER, self._delay)

    async def _rest(self) -> None:
        await self._watcher.turn_off()
        self.past.backoff_until = None
        now, run_id, reason = datetime.now(UTC), self.past.run_id or "", self.past.reason
        self._ending = None
        if self.phase is Phase.FAILED:
            self._teller.tell(Failed(run_id, now, self.past.code, reason))
            self._wishes.refuse(StartFailed(f"It failed: {reason}."))
        else:
            self._teller.tell(Stopped(run_id, now, reason))

    # -- what happens to the run

    async def _health_changed(self, run: Run, change: Change, probe: str, reason: str) -> None:
        now = datetime.now(UTC)
        match change:
            case Change.STARTED:
                await self._step(Event.UP)
                await self._open_gate(run)
                self._wishes.reached("running")
            case Change.READY:
                self._teller.tell(Ready(run.run_id, now, recovered=run.ready_at is not None))
                run.ready_at = run.ready_at or now
                self._wishes.reached("ready")
            case Change.UNHEALTHY:
                self._teller.tell(Unhealthy(run.run_id, now, probe, reason))
            case Change.DEAD:
                await self._end(run, Troubled(run.run_id, Cause.ILL, f"the probe {probe} failed: {reason}"))

    async def _end(self, run: Run, trouble: Troubled) -> None:
        if self.phase in (Phase.STARTING, Phase.RUNNING):
            run.trouble = trouble
            await self._step(Event.END)

    async def _gone(self, run: Run, exit: Exit) -> None:
        """Its first process has ended: what it left is ended too, before anything else begins."""
        run.end()
        asked, patience = self.phase not in BY_POLICY, 0.0
        if run.asked_to_leave is not None and not run.killed:
            rest = run.asked_to_leave + run.spec.stop_grace - time.monotonic()
            patience = max(0.0, min(LEFTOVER_GRACE, rest))
        cleared = await self._keeper.clear(run.run_id, patience)
        await run.ended()
        now = time.monotonic()
        death = ends.death(run, exit, now)
        verdict = None if asked else self._restarts.answer(death, now, random.random())  # noqa: S311
        goes_on = isinstance(verdict, Again) or self.phase is Phase.RECYCLING
        if not goes_on:
            await self._last_words(run.run_id)
        ended = self._ending = ends.exited(run, exit, cleared, asked, death, verdict)
        self.past.note(run, exit, ended.reason)
        self.run = None
        self._teller.tell(ended)
        await self._wipe(run.spec, at_once=not goes_on)
        died = StartFailed(f"It ended: {ended.reason}.", exit_code=exit.code, exit_signal=exit.signal)
        self._wishes.refuse(died, run.run_id)
        await (self._step(Event.GONE) if verdict is None else self._follow(verdict))
        self._wishes.stopped(ends.stop_report(run, exit, cleared, time.monotonic()))

    async def _last_words(self, run_id: str) -> None:
        if not await self._log.drained(run_id, LAST_WORDS):  # a stranger holds the pipes
            await self._keeper.release(run_id)
            await self._log.drained(run_id, LAST_WORDS)

    async def _follow(self, verdict: Verdict) -> None:
        match verdict:
            case Again(delay):
                self._delay = delay
                await self._step(Event.AGAIN)
            case Done():
                await self._step(Event.DONE)
            case GiveUp(code, reason):
                self.past.code = code
                self.past.reason = f"{reason}; last: {self.past.reason}"
                await self._step(Event.GIVE_UP)

    async def _wipe(self, spec: AppSpec, at_once: bool) -> None:
        if spec.private_tmp is None:
            return
        scratch.put_aside(spec.private_tmp)
        wiping = asyncio.to_thread(scratch.wipe, spec.private_tmp)
        if at_once:
            await wiping
        else:
            self._teller.in_background(wiping)
