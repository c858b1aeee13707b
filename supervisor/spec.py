"""What is to be run, as data: one managed process, how to know that it is well, and what to do when it is not.

Frozen values that are built by whoever knows the application (for a NAT app: `att.runtime`) and only read here. No I/O.
All durations are seconds, all sizes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Restart(StrEnum):
    """OTP's words: always again, again after a failure, never again."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class ProbeKind(StrEnum):
    PROCESS = "process"
    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"
    LOG = "log"


class Use(StrEnum):
    """What a probe's result is used for, in the kubelet's sense."""

    STARTUP = "startup"  # until it succeeds once, the others do not run and the run is `starting`
    READINESS = "readiness"  # says whether the app can take work; never ends it
    LIVENESS = "liveness"  # its failure ends the run, which the restart policy then answers


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One probe. `period` after the last result; thresholds count results in a row."""

    kind: ProbeKind
    name: str = ""
    use: frozenset[Use] = frozenset(Use)
    period: float = 10.0
    timeout: float = 3.0
    initial_delay: float = 0.0
    success_threshold: int = 1
    failure_threshold: int = 3
    url: str = ""  # http: absolute
    expect_status: tuple[int, int] = (200, 399)  # http: inclusive range
    expect_text: str = ""  # http: a regular expression that the body must hold, when given
    host: str = ""  # tcp
    port: int = 0  # tcp
    unix: str = ""  # http, tcp: asked by this socket of the file system, whatever the address
    command: tuple[str, ...] = ()  # command: exit status 0 is success
    pattern: str = ""  # log: a regular expression that one line of the run must match


@dataclass(frozen=True, slots=True)
class RestartSpec:
    """When to start again, how long to wait, when to give up.

    The first death waits `delays[0]`, the next `delays[1]` …, the last one for ever after; each is stretched by up to `jitter`
    (a fraction). After `reset_after` of running the count begins anew. More than `intensity` deaths within `period` → failed.
    """

    policy: Restart = Restart.PERMANENT
    delays: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
    jitter: float = 0.1
    intensity: int = 10
    period: float = 120.0
    reset_after: float = 60.0
    clean_codes: frozenset[int] = frozenset({0})  # exits that are no failure, for `transient`


@dataclass(frozen=True, slots=True)
class AppSpec:
    """One app, ready to be started: nothing in it needs to be looked up any more."""

    command: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)  # the whole environment of the process; it may hold secrets
    log: str  # id of the log that its lines go to (the project's id)
    host: str = ""
    port: int = 0
    socket: str = ""  # name of a listening socket held by the keeper, passed as descriptor 3
    gate: int = (
        0  # the signal that tells a run which is up to take connections there; 0: it takes them by itself
    )
    probes: tuple[ProbeSpec, ...] = ()
    restart: RestartSpec = field(default_factory=RestartSpec)
    stop_signal: int = 15
    stop_grace: float = 10.0
    start_timeout: float = 120.0  # no startup success by then counts as a failed start
    memory_limit: int | None = None  # of the whole tree; above it: restart, with the reason
    watch: tuple[str, ...] = ()  # globs below cwd; a change restarts
    watch_debounce: float = 0.5
    private_tmp: Path | None = None  # made empty before a run, wiped after it
