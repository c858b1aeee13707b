"""Whether a version that was switched to a moment ago stays: what the events of its runs say, and how much time is left. Pure.

It is ill when its runtime has failed, when a probe found it unhealthy by its own thresholds, when it died too often, and when the
time is over while it lies dead. An end that somebody asked for is none of its own; neither is one that came with the daemon's.
Since events are kept, the next life of the daemon comes to the same answer out of the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class Standing(StrEnum):
    ON = "on"
    PASSED = "passed"  # it stays
    ENDED = "ended"  # a person or another deploy took the app in hand
    ILL = "ill"  # it is to be gone back from
    FAILED = "failed"  # that has been begun, or there is nothing to go back to


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known so far of the version's `runs`. `reason`: why it is ill."""

    artefact_id: str
    runs: frozenset[str]
    crashes: int = 0
    down: str = ""  # it died, and is not ready again: of what
    reason: str = ""
    allowed: int = 1  # deaths


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the project."""

    event_type: str
    payload: Mapping[str, Any]
    failed: bool = False


def _started(watch: Watch, told: Told) -> Watch:
    """A further run of it is watched like the first."""
    mine = told.payload.get("artefact_id") == watch.artefact_id and told.payload.get("role") == "current"
    return replace(watch, runs=watch.runs | {str(told.payload.get("run_id"))}) if mine else watch


def _ready(watch: Watch, told: Told) -> Watch:
    return replace(watch, down="")


def _unhealthy(watch: Watch, told: Told) -> Watch:
    return replace(
        watch, reason=f"the probe {told.payload.get('probe')} failed: {told.payload.get('reason')}"
    )


def _exited(watch: Watch, told: Told) -> Watch:
    if told.payload.get("asked") is not False or not told.failed:
        return watch
    why = str(told.payload.get("error") or told.payload.get("reason") or "it ended")
    crashes = watch.crashes + 1
    times = "once" if crashes == 1 else f"{crashes} times"
    reason = f"it died {times} under watch: {why}" if crashes > watch.allowed else ""
    return replace(watch, crashes=crashes, down=why, reason=reason)


def _failed(watch: Watch, told: Told) -> Watch:
    return replace(watch, reason=str(told.payload.get("error") or told.payload.get("reason") or "it failed"))


TABLE: Mapping[str, Callable[[Watch, Told], Watch]] = {
    "runtime.started": _started,
    "runtime.ready": _ready,
    "runtime.unhealthy": _unhealthy,
    "runtime.exited": _exited,
    "runtime.failed": _failed,
}


def after(watch: Watch, told: Told) -> Watch:
    """What is known once this was told. Once it is ill it stays so; what is told of other runs changes nothing."""
    heed = TABLE.get(told.event_type)
    known = heed is _started or told.payload.get("run_id") in watch.runs
    return watch if heed is None or not known or watch.reason else heed(watch, told)


def verdict(watch: Watch, left: float) -> tuple[Standing, str]:
    """How it stands with `left` seconds to go, and why."""
    if watch.reason:
        return Standing.ILL, watch.reason
    if left > 0:
        return Standing.ON, ""
    if watch.down:
        return Standing.ILL, f"it died and did not come back while it was watched: {watch.down}"
    return Standing.PASSED, ""


def time_left(until: float, now: float, fresh: bool, pause: float) -> float:
    """Seconds until the end of the watch, by the clock of the wall. A life that has just begun (`fresh`) looks for `pause`
    seconds at least: what happened while nobody looked is told only then."""
    return max(until - now, pause if fresh else 0.0)
