"""Whether an app that has ended is started again, and when: policy, back-off, intensity and their reset.

In OTP's words. Each death in a row waits longer; who has run long enough begins anew; too many deaths within the period and it
is left for a person. Restarts because of changed files are not deaths: they never make it fail, but quick ones in a row wait
longer too, so that an app that writes what is watched cannot spin. Pure: the time and the chance come in as arguments.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from supervisor.spec import Restart, RestartSpec

CALM = 10.0  # a change this long after the start of the run is the first of its kind again


class Cause(StrEnum):
    """Why a run is over, when nobody asked for it."""

    EXIT = "exit"  # it left by itself
    ILL = "ill"  # we ended it: too slow to start, not alive, too much memory
    CHANGE = "change"  # we ended it, since watched files changed


@dataclass(frozen=True, slots=True)
class Death:
    cause: Cause
    code: int | None
    signal: int | None
    ran: float  # seconds


@dataclass(frozen=True, slots=True)
class Again:
    delay: float


@dataclass(frozen=True, slots=True)
class Done:
    """Not again, and that is well so."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    code: str  # crash_loop, or run_failed where the policy does not start it again
    reason: str


Verdict = Again | Done | GiveUp


def is_failure(death: Death, spec: RestartSpec) -> bool:
    """A death by a signal is one, when nobody asked for it; so is a code that does not count as clean."""
    if death.cause is Cause.EXIT:
        return death.signal is not None or death.code not in spec.clean_codes
    return death.cause is Cause.ILL


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of earlier deaths, to be handed on to another life of the daemon. `deaths`: seconds ago."""

    deaths: tuple[float, ...] = ()
    in_a_row: int = 0
    changes: int = 0


class Restarts:
    """The memory of earlier deaths of one app."""

    def __init__(self, spec: RestartSpec) -> None:
        self._spec = spec
        self._deaths: deque[float] = deque()
        self._in_a_row = 0
        self._changes = 0

    def fresh(self, spec: RestartSpec | None = None) -> None:
        """A person wants it to run: what was before does not count."""
        self._spec = spec or self._spec
        self._deaths.clear()
        self._in_a_row = self._changes = 0

    def memory(self, now: float) -> Memory:
        return Memory(tuple(now - at for at in self._deaths), self._in_a_row, self._changes)

    def recall(self, memory: Memory, now: float) -> None:
        """Goes on as another left off."""
        self._deaths = deque(now - ago for ago in memory.deaths)
        self._in_a_row, self._changes = memory.in_a_row, memory.changes

    def answer(self, death: Death, now: float, chance: float) -> Verdict:
        """`now` monotonic; `chance` in [0, 1) spreads the delay."""
        if death.cause is Cause.CHANGE:
            self._changes = 0 if death.ran >= CALM else self._changes
            self._changes += 1
            return Again(self._delay(self._changes, chance))
        failure = is_failure(death, self._spec)
        policy = self._spec.policy
        if policy is Restart.TEMPORARY or (policy is Restart.TRANSIENT and not failure):
            return (
                GiveUp("run_failed", "it failed, and is not to be started again by itself")
                if failure
                else Done()
            )
        if death.ran >= self._spec.reset_after:
            self._deaths.clear()
            self._in_a_row = 0
        return self._count(now, chance)

    def _count(self, now: float, chance: float) -> Verdict:
        spec = self._spec
        self._in_a_row += 1
        self._deaths.append(now)
        while self._deaths[0] < now - spec.period:
            self._deaths.popleft()
        if len(self._deaths) > spec.intensity:
            return GiveUp("crash_loop", f"it ended {len(self._deaths)} times within {spec.period:g} s")
        return Again(self._delay(self._in_a_row, chance))

    def _delay(self, nth: int, chance: float) -> float:
        delays = self._spec.delays or (0.0,)
        return delays[min(nth, len(delays)) - 1] * (1 + self._spec.jitter * chance)
