"""What the runner tells: the events of an app as typed values, how a stop went, and how things stand. No I/O, no decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from supervisor.lifecycle import State
from supervisor.restart import Memory


@dataclass(frozen=True, slots=True)
class Started:
    run_id: str
    at: datetime
    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The app can take work; `recovered` when it already had been ready in this run."""

    run_id: str
    at: datetime
    recovered: bool


@dataclass(frozen=True, slots=True)
class Unhealthy:
    run_id: str
    at: datetime
    probe: str
    reason: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The end of a run, everything it started included. `asked`: a person or the daemon wanted it."""

    run_id: str
    at: datetime
    exit_code: int | None
    exit_signal: int | None
    asked: bool
    failure: bool  # counts as a failure for the restart policy
    forced: bool  # did not leave within the grace time and was killed
    leftovers: int  # further processes that had to be ended
    reason: str
    next_start_in: float | None  # seconds; None: it is not started again


@dataclass(frozen=True, slots=True)
class Restarted:
    """`run_id` took the place of `previous`."""

    run_id: str
    at: datetime
    previous: str
    restarts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The app is stopped and nothing of it is left."""

    run_id: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It is not started again by itself. `code` is stable: `crash_loop`, or that of the error (`command_not_found` …)."""

    run_id: str
    at: datetime
    code: str
    reason: str


RunnerEvent = Started | Ready | Unhealthy | Exited | Restarted | Stopped | Failed


@dataclass(frozen=True, slots=True)
class Living:
    """A run of an earlier life of the daemon, which may live still: its keeper knows. `cursor`: where its log begins."""

    run_id: str
    pid: int
    started_at: datetime
    ready_at: datetime | None
    restarts: int
    memory: Memory
    cursor: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """An app that an earlier life was about to start again: how its last run ended, and when the next one is due."""

    ended: Exited
    restarts: int
    memory: Memory
    due: datetime


@dataclass(frozen=True, slots=True)
class StopReport:
    """How the run ended that was asked to: `forced` when the grace time was not enough, `leftovers` ended beside it."""

    run_id: str
    exit_code: int | None
    exit_signal: int | None
    forced: bool
    leftovers: int
    took: float


@dataclass(frozen=True, slots=True)
class ProbeStatus:
    name: str
    kind: str
    use: tuple[str, ...]
    healthy: bool | None  # None: no verdict yet
    reason: str
    checked_at: datetime | None
    latency_ms: float | None
    successes: int  # in a row
    failures: int  # in a row


@dataclass(frozen=True, slots=True)
class RunStatus:
    run_id: str
    pid: int
    role: Literal["current", "candidate", "draining"]
    state: State


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """The fields of the contract's RuntimeStatus that are not the project's."""

    state: State
    run_id: str | None
    pid: int | None
    command: tuple[str, ...]
    host: str
    port: int
    started_at: datetime | None
    ready_at: datetime | None
    exited_at: datetime | None
    exit_code: int | None
    exit_signal: int | None
    restarts: int
    backoff_until: datetime | None
    healthy: bool | None
    health_probe: str | None
    health_reason: str
    health_checked_at: datetime | None
    probes: tuple[ProbeStatus, ...]
    cpu_percent: float | None
    rss_bytes: int | None
    processes: int | None
    open_files: int | None
    threads: int | None
    log_cursor: str | None
    reason: str
    runs: tuple[RunStatus, ...]
