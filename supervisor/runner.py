"""An app under supervision, as others see it: start, stop, restart, status. What becomes of a wish is the owner's affair."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from supervisor import status
from supervisor.errors import NotRunning, RunnerClosed, SupervisorError, WaitTimedOut
from supervisor.keeper import Keeper
from supervisor.lifecycle import AT_REST, Event, State
from supervisor.owner import Leave, Owner
from supervisor.report import (
    Exited,
    Failed,
    Living,
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
    Waiting,
)
from supervisor.restart import Memory
from supervisor.spec import AppSpec
from supervisor.teller import OnEvent
from supervisor.wishes import Promote, Wait, Wish

if TYPE_CHECKING:
    from supervisor.logs.log import Log

__all__ = [
    "Exited",
    "Failed",
    "Living",
    "Memory",
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
    "Waiting",
]

LEAVE_WITHIN = 2.0  # what is being done now may take so long


class Runner:
    """Owns one app. `start`, `stop` and `restart` are wishes; a cancelled or timed-out wait undoes nothing.

    `on_event` is called in order and must not block; when it returns an awaitable for `Exited`, the exit is acknowledged to
    the keeper only after that has completed.
    """

    def __init__(self, owner: Owner, log: Log) -> None:
        self._owner = owner
        self._log = log
        self._task = asyncio.create_task(owner.own(), name=f"runner-{log.id}")

    @classmethod
    def open(cls, spec: AppSpec, keeper: Keeper, log: Log, on_event: OnEvent, *, held: bool = False) -> Self:
        """`held`: its runs are not told to take connections before `promote`."""
        return cls(Owner(spec, keeper, log, on_event, held), log)

    @classmethod
    def adopt(
        cls, spec: AppSpec, keeper: Keeper, log: Log, on_event: OnEvent, found: Living | Waiting
    ) -> Self:
        """Goes on where an earlier life of the daemon left off: with its run, or with the wait for the next one."""
        owner = Owner(spec, keeper, log, on_event)
        if isinstance(found, Living):
            owner.adopt(found)
        else:
            owner.wait_on(found)
        return cls(owner, log)

    @property
    def memory(self) -> Memory:
        """What a later life must know of earlier deaths to go on."""
        return self._owner.memory

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
        self._owner.spec = spec

    async def promote(self, spec: AppSpec) -> None:
        """What was tried is the app from now on: its run takes connections, `spec` is that of the next. Raises NotRunning."""
        if self._task.done():
            raise RunnerClosed("This runner has been closed.")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner.inbox.put_nowait(Promote(spec, done))
        await done

    async def status(self, figures: bool = True) -> RunnerStatus:
        """`figures` samples the resource use of the tree; without, those fields are None and it costs nothing."""
        run = self._owner.run
        measured = None
        if figures and run is not None:
            with suppress(SupervisorError):  # it ended just now
                measured = await run.figures()
        return status.compose(
            self._owner.phase, self._owner.spec, self._owner.run, self._owner.past, self._log.newest, measured
        )

    async def aclose(self) -> None:
        """Stops what runs and ends the task."""
        if self._task.done():
            return
        if self._owner.phase not in AT_REST or not self._owner.inbox.empty():
            with suppress(NotRunning):
                await self.stop()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._owner.abandon(RunnerClosed("This runner has been closed."))
        await self._owner.aclose()

    async def detach(self) -> None:
        """Ends the task and leaves the app to its keeper; what was told has been noted. The next life adopts it."""
        if self._task.done():
            return
        self._owner.inbox.put_nowait(Leave())
        await asyncio.wait([self._task], timeout=LEAVE_WITHIN)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._owner.abandon(RunnerClosed("The daemon ends; the app goes on."))
        await self._owner.aclose()

    async def _wish(
        self, event: Event, wait: Wait = "none", timeout: float | None = None
    ) -> StopReport | None:
        if self._task.done():
            raise RunnerClosed("This runner has been closed.")
        wish = Wish(event, wait, asyncio.get_running_loop().create_future())
        self._owner.inbox.put_nowait(wish)
        try:
            async with asyncio.timeout(timeout):
                return await wish.done
        except TimeoutError:
            raise WaitTimedOut(
                f"It is not {'begun' if wait == 'none' else wait} after {timeout:g} s."
            ) from None
