"""Who waits for what: starts until the app is as far as they asked for, stops until the run is gone.

Only futures are kept here. One that its owner has given up (cancelled, timed out) is left alone: a wait is not the wish itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from supervisor.errors import SupervisorError
from supervisor.lifecycle import Event
from supervisor.report import StopReport
from supervisor.spec import AppSpec

Wait = Literal["none", "running", "ready"]
DISTANCE: dict[Wait, int] = {"none": 0, "running": 1, "ready": 2}


@dataclass(eq=False, slots=True)
class Wish:
    """A start, stop or restart that somebody asked for."""

    event: Event
    wait: Wait
    done: asyncio.Future[StopReport | None]
    run_id: str | None = None  # the run it waits for; None: the next one


@dataclass(frozen=True, slots=True)
class Promote:
    """To the task: the run that was tried is the app from now on; it takes connections, and `spec` is that of the next run."""

    spec: AppSpec
    done: asyncio.Future[None]


class Wishes:
    def __init__(self) -> None:
        self._starts: list[Wish] = []
        self._stops: list[Wish] = []

    def add(self, wish: Wish) -> None:
        (self._stops if wish.event is Event.STOP else self._starts).append(wish)

    @property
    def want_a_run(self) -> bool:
        """Whether somebody waits for a run that has not begun."""
        return any(wish.run_id is None and not wish.done.done() for wish in self._starts)

    def begun(self, run_id: str) -> None:
        """The next run has begun: it is the one they wait for."""
        for wish in self._starts:
            if wish.run_id is None:
                wish.run_id = run_id
        self.reached("none")

    def reached(self, far: Wait) -> None:
        """The present run is so far."""
        for wish in self._starts:
            if wish.run_id is not None and DISTANCE[wish.wait] <= DISTANCE[far]:
                _resolve(wish, None)
        self._tidy()

    def wait_for_next(self) -> None:
        """The present run is being replaced on somebody's wish: all wait for the one after it."""
        for wish in self._starts:
            wish.run_id = None

    def refuse(self, error: SupervisorError, run_id: str | None = None) -> None:
        """They wait in vain: those for this run, or all."""
        for wish in self._starts:
            if (run_id is None or wish.run_id == run_id) and not wish.done.done():
                wish.done.set_exception(error)
        self._tidy()

    def stopped(self, report: StopReport) -> None:
        for wish in self._stops:
            _resolve(wish, report)
        self._stops.clear()

    def abandon(self, error: SupervisorError) -> None:
        """Nobody will answer any more."""
        self.refuse(error)
        for wish in self._stops:
            if not wish.done.done():
                wish.done.set_exception(error)
        self._stops.clear()

    def _tidy(self) -> None:
        self._starts = [wish for wish in self._starts if not wish.done.done()]


def _resolve(wish: Wish, report: StopReport | None) -> None:
    if not wish.done.done():
        wish.done.set_result(report)
