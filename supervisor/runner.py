"""The one task that owns an app: takes wishes, exits, changes of health and timers in turn, and does what the table says.

It decides nothing itself (lifecycle, restart and health do) and it is the only one that changes the state of the app. All
that happened is told by `on_event`, in order, as the values of report.py.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from signal import SIGKILL, Signals
from typing import TYPE_CHECKING, Self

from supervisor import scratch, status
from supervisor.errors import (
    AlreadyRunning,
    NotRunning,
    RunnerClosed,
    StartCancelled,
    StartFailed,
    SupervisorError,
    WaitTimedOut,
)
from supervisor.health import Change
from supervisor.keeper import Cleared, Exit, Keeper, SpawnOrder
from supervisor.lifecycle import (
    ALIVE,
    AT_REST,
    BY_POLICY,
    Action,
    Event,
    IllegalTransition,
    Phase,
    State,
    step,
)
from supervisor.logs.errors import LogError
from supervisor.probes import Prober
from supervisor.report import (
    Exited,
    Failed,
    ProbeStatus,
    Ready,
    Restarted,
    RunnerEvent,
    RunnerStatus,
    RunStatus,
    Started,
    Stopped,
    StopReport,
    Unhealthy,
)
from supervisor.restart import Again, Cause, Death, Done, GiveUp, Restarts, is_failure
from supervisor.run import Changed, Ended, News, Run, Troubled
from supervisor.spec import AppSpec
from supervisor.watch import changes
from supervisor.wishes import Wait, Wish, Wishes

if TYPE_CHECKING:
    from supervisor.logs.log import Log

__all__ = [
    "Exited",
    "Failed",
    "ProbeStatus",
    "Ready",
    "Restarted",
    "RunStatus",
    "Runner",
    "RunnerEvent",
    "RunnerStatus",
    "Started",
    "State",
    "StopReport",
    "Stopped",
    "Unhealthy",
    "Wait",
]

LEFTOVER_GRACE = 2.0  # for what the first process left behind, out of what remains of its own grace
LAST_WORDS = 2.0  # how long the end of a run's output is waited for before its end is told


@dataclass(frozen=True, slots=True)
class _Due:
    """A timer has run out; an older one than the present is nothing."""

    event: Event
    serial: int


class Runner:
    """Owns one app. `start`, `stop` and `restart` are wishes; a cancelled or timed-out wait undoes nothing.

    `on_event` is called in order and must not block; when it returns an awaitable for `Exited`, the exit is acknowledged to
    the keeper only after that has completed.
    """

    def __init__(
        self,
        spec: AppSpec,
        keeper: Keeper,
        log: Log,
        on_event: Callable[[RunnerEvent], Awaitable[None] | None],
    ) -> None:
        self._spec = spec
        self._keeper = keeper
        self._log = log
        self._on_event = on_event
        self._phase = Phase.STOPPED
        self._run: Run | None = None
        self._past = status.Past()
        self._wishes = Wishes()
        self._restarts = Restarts(spec.restart)
        self._prober = Prober(keeper.id)
        self._inbox: asyncio.Queue[Wish | News | _Due | tuple[str, ...]] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._serial = 0
        self._delay = 0.0
        self._ending: Exited | None = (
            None  # how the last run ended, until REST or the next run tells what came of it
        )
        self._watching: tuple[AppSpec, asyncio.Task[None]] | None = None
        self._loose: set[asyncio.Task[None]] = set()
        self._owner: asyncio.Task[None] | None = None
        self._actions: dict[Action, Callable[[], Awaitable[None]]] = {
            Action.SPAWN: self._spawn,
            Action.FRESH: self._fresh,
            Action.ASK: self._ask_to_leave,
            Action.KILL: self._kill,
            Action.DISARM: self._disarm,
            Action.WAIT: self._wait_to_restart,
            Action.REST: self._rest,
        }

    @classmethod
    def open(
        cls,
        spec: AppSpec,
        keeper: Keeper,
        log: Log,
        on_event: Callable[[RunnerEvent], Awaitable[None] | None],
    ) -> Self:
        runner = cls(spec, keeper, log, on_event)
        runner._owner = asyncio.create_task(runner._own(), name=f"runner-{spec.log}")
        return runner

    # -- what can be asked

    async def start(self, wait: Wait = "none", timeout: float | None = None) -> RunnerStatus:
        """Raises AlreadyRunning; SpawnFailed and its kinds; waiting: StartFailed, StartCancelled, WaitTimedOut."""
        await self._wish(Event.START, wait, timeout)
        return await self.status(figures=False)

    async def stop(self) -> StopReport:
        """Returns when nothing is left. Raises NotRunning. Out of back-off or failed: at once."""
        report = await self._wish(Event.STOP)
        if report is None:
            raise NotRunning("Nothing runs.")
        return report

    async def restart(self, wait: Wait = "none", timeout: float | None = None) -> RunnerStatus:
        """Stop and start as one wish; when nothing runs, a start. Raises as `start` does."""
        await self._wish(Event.RESTART, wait, timeout)
        return await self.status(figures=False)

    async def replace(self, spec: AppSpec) -> None:
        """The spec of the next run. What runs now goes on as it is."""
        self._spec = spec

    async def status(self, figures: bool = True) -> RunnerStatus:
        """`figures` samples the resource use of the tree; without, those fields are None and it costs nothing."""
        run = self._run
        measured = None
        if figures and run is not None:
            with suppress(SupervisorError):  # it ended just now
                measured = await run.figures()
        return status.compose(self._phase, self._spec, self._run, self._past, self._log.newest, measured)

    async def aclose(self) -> None:
        """Stops what runs and ends the task."""
        if self._owner is None or self._owner.done():
            return
        if self._phase not in AT_REST or not self._inbox.empty():
            with suppress(NotRunning):
                await self.stop()
        self._owner.cancel()
        await asyncio.gather(self._owner, *self._loose, return_exceptions=True)
        self._wishes.abandon(RunnerClosed("The daemon is leaving."))
        await self._stop_watching()
        await self._prober.aclose()

    async def _wish(
        self, event: Event, wait: Wait = "none", timeout: float | None = None
    ) -> StopReport | None:
        if self._owner is None or self._owner.done():
            raise RunnerClosed("This runner has been closed.")
        wish = Wish(event, wait, asyncio.get_running_loop().create_future())
        self._inbox.put_nowait(wish)
        try:
            async with asyncio.timeout(timeout):
                return await wish.done
        except TimeoutError:
            raise WaitTimedOut(
                f"It is not {'begun' if wait == 'none' else wait} after {timeout:g} s."
            ) from None

    # -- the task

    async def _own(self) -> None:
        while True:
            message = await self._inbox.get()
            try:
                await self._take(message)
            except Exception as error:
                # A mistake of ours: told, and whoever asked is not left waiting; the app goes on being looked after.
                self._complain("the runner could not deal with a message", error)
                if isinstance(message, Wish) and not message.done.done():
                    message.done.set_exception(error)

    async def _take(self, message: Wish | News | _Due | tuple[str, ...]) -> None:
        run = self._run
        match message:
            case Wish():
                await self._grant(message)
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
        self._phase, actions = step(self._phase, event)
        for action in actions:
            await self._actions[action]()

    async def _grant(self, wish: Wish) -> None:
        if wish.done.done():
            return  # given up before it was heard
        before = self._phase
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
            self._wishes.stopped(StopReport(self._past.run_id or "", None, None, False, 0, 0.0))

    # -- what the table asks for

    async def _fresh(self) -> None:
        self._restarts.fresh(self._spec.restart)
        self._past.restarts = 0
        self._past.reason = ""

    async def _spawn(self) -> None:
        spec, run_id, ending = self._spec, _new_run_id(), self._ending
        self._past.backoff_until = None
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
        run = self._run = Run(run_id, spawned.pid, spec, self._keeper, self._inbox.put_nowait)
        self._ending = None
        self._past.run_id = run_id
        self._arm(Event.END, spec.start_timeout)
        self._tell(Started(run_id, run.began_at, run.pid))
        if ending is not None:
            self._past.restarts += 0 if ending.asked else 1
            self._tell(Restarted(run_id, run.began_at, ending.run_id, self._past.restarts, ending.reason))
        self._wishes.begun(run_id)
        run.begin(self._prober, self._log, cursor)
        await self._watch(spec)

    async def _cannot(self, error: SupervisorError) -> None:
        self._past.reason = str(error)
        self._past.code = error.code
        if self._ending is None or self._wishes.want_a_run:
            await self._step(Event.CANNOT)
            self._wishes.refuse(error)
            return
        await self._by_policy(Death(Cause.ILL, None, None, 0.0))

    async def _ask_to_leave(self) -> None:
        run = self._run
        if run is None:
            return
        run.asked_to_leave = time.monotonic()
        await self._keeper.signal(run.run_id, run.spec.stop_signal)
        self._arm(Event.SLOW, run.spec.stop_grace)

    async def _kill(self) -> None:
        if self._run is not None:
            self._run.killed = True
            await self._keeper.signal(self._run.run_id, SIGKILL)

    async def _disarm(self) -> None:
        self._serial += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, event: Event, seconds: float) -> None:
        self._serial += 1
        due = _Due(event, self._serial)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._inbox.put_nowait, due)

    async def _wait_to_restart(self) -> None:
        if self._delay <= 0:
            await self._step(Event.OVER)
            return
        self._past.backoff_until = datetime.now(UTC) + timedelta(seconds=self._delay)
        self._arm(Event.OVER, self._delay)

    async def _rest(self) -> None:
        await self._stop_watching()
        self._past.backoff_until = None
        now, run_id, reason = datetime.now(UTC), self._past.run_id or "", self._past.reason
        self._ending = None
        if self._phase is Phase.FAILED:
            self._tell(Failed(run_id, now, self._past.code, reason))
            self._wishes.refuse(StartFailed(f"It failed: {reason}."))
        else:
            self._tell(Stopped(run_id, now, reason))

    # -- what happens to the run

    async def _health_changed(self, run: Run, change: Change, probe: str, reason: str) -> None:
        now = datetime.now(UTC)
        match change:
            case Change.STARTED:
                await self._step(Event.UP)
                self._wishes.reached("running")
            case Change.READY:
                self._tell(Ready(run.run_id, now, recovered=run.ready_at is not None))
                run.ready_at = run.ready_at or now
                self._wishes.reached("ready")
            case Change.UNHEALTHY:
                self._tell(Unhealthy(run.run_id, now, probe, reason))
            case Change.DEAD:
                await self._end(run, Troubled(run.run_id, Cause.ILL, f"the probe {probe} failed: {reason}"))

    async def _end(self, run: Run, trouble: Troubled) -> None:
        if self._phase in (Phase.STARTING, Phase.RUNNING):
            run.trouble = trouble
            await self._step(Event.END)

    async def _gone(self, run: Run, exit: Exit) -> None:
        """Its first process has ended: what it left is ended too, before anything else begins."""
        run.end()
        phase, now = self._phase, time.monotonic()
        patience = 0.0
        if run.asked_to_leave is not None and not run.killed:
            patience = max(0.0, min(LEFTOVER_GRACE, run.asked_to_leave + run.spec.stop_grace - now))
        cleared = await self._keeper.clear(run.run_id, patience)
        await run.ended()
        asked = phase not in BY_POLICY
        cause = run.trouble.cause if run.trouble else Cause.EXIT
        death = Death(cause, exit.code, exit.signal, now - run.began)
        verdict = None if asked else self._restarts.answer(death, time.monotonic(), random.random())  # noqa: S311
        if not isinstance(verdict, Again) and phase is not Phase.RECYCLING:
            await self._log.drained(run.run_id, LAST_WORDS)
        self._past.note(run, exit)
        self._past.reason = _why(run, exit, asked)
        failure = not asked and is_failure(death, run.spec.restart)
        self._run = None
        self._ending = self._tell_end(run, exit, cleared, asked, failure, verdict)
        await self._wipe(run.spec, at_once=not isinstance(verdict, Again) and phase is not Phase.RECYCLING)
        self._wishes.refuse(
            StartFailed(f"It ended: {self._past.reason}.", exit_code=exit.code, exit_signal=exit.signal),
            run.run_id,
        )
        await (self._step(Event.GONE) if verdict is None else self._follow(verdict))
        self._wishes.stopped(_stop_report(run, exit, cleared))

    async def _by_policy(self, death: Death) -> None:
        await self._follow(self._restarts.answer(death, time.monotonic(), random.random()))  # noqa: S311

    async def _follow(self, verdict: Again | Done | GiveUp) -> None:
        match verdict:
            case Again(delay):
                self._delay = delay
                await self._step(Event.AGAIN)
            case Done():
                await self._step(Event.DONE)
            case GiveUp(code, reason):
                self._past.code = code
                self._past.reason = f"{reason}; last: {self._past.reason}"
                await self._step(Event.GIVE_UP)

    # -- telling and tidying

    def _tell_end(
        self,
        run: Run,
        exit: Exit,
        cleared: Cleared,
        asked: bool,
        failure: bool,
        verdict: Again | Done | GiveUp | None,
    ) -> Exited:
        ended = Exited(
            run_id=run.run_id,
            at=exit.at,
            exit_code=exit.code,
            exit_signal=exit.signal,
            asked=asked or (run.trouble is not None and run.trouble.cause is Cause.CHANGE),
            failure=failure,
            forced=run.killed and exit.signal == SIGKILL,
            leftovers=cleared.ended,
            reason=self._past.reason,
            next_start_in=verdict.delay if isinstance(verdict, Again) else None,
        )
        noted = self._tell(ended)
        self._in_background(self._acknowledge(run.run_id, noted))
        return ended

    async def _acknowledge(self, run_id: str, noted: Awaitable[None] | None) -> None:
        if noted is not None:
            try:
                await noted
            except Exception as error:  # it stays unacknowledged: a later life will hear of it again
                self._complain("the end of a run could not be noted", error)
                return
        await self._keeper.acknowledge(run_id)

    def _tell(self, event: RunnerEvent) -> Awaitable[None] | None:
        try:
            return self._on_event(event)
        except Exception as error:
            self._complain(f"nobody took the event {event}", error)
            return None

    def _complain(self, message: str, error: Exception) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    async def _wipe(self, spec: AppSpec, at_once: bool) -> None:
        if spec.private_tmp is None:
            return
        scratch.put_aside(spec.private_tmp)
        wiping = asyncio.to_thread(scratch.wipe, spec.private_tmp)
        if at_once:
            await wiping
        else:
            self._in_background(wiping)

    async def _watch(self, spec: AppSpec) -> None:
        if not spec.watch or (self._watching is not None and self._watching[0] == spec):
            return
        await self._stop_watching()
        self._watching = spec, asyncio.create_task(self._pass_changes_on(spec), name=f"watch-{spec.log}")

    async def _pass_changes_on(self, spec: AppSpec) -> None:
        async for paths in changes(spec.cwd, spec.watch, spec.watch_debounce):
            self._inbox.put_nowait(paths)

    async def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching[1].cancel()
            await asyncio.gather(self._watching[1], return_exceptions=True)
            self._watching = None


def _new_run_id() -> str:
    """Sortable by time, and never given twice."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{secrets.token_hex(4)}"


def _why(run: Run, exit: Exit, asked: bool) -> str:
    if run.trouble is not None:
        return run.trouble.reason
    if asked:
        return "it was asked to"
    if exit.code is not None:
        return f"it left with exit status {exit.code}"
    return f"it was ended by the signal {_signal_name(exit.signal)}"


def _signal_name(number: int | None) -> str:
    try:
        return Signals(number or 0).name
    except ValueError:
        return str(number)


def _stop_report(run: Run, exit: Exit, cleared: Cleared) -> StopReport:
    since = run.asked_to_leave if run.asked_to_leave is not None else run.began
    forced = run.killed and exit.signal == SIGKILL
    return StopReport(run.run_id, exit.code, exit.signal, forced, cleared.ended, time.monotonic() - since)
