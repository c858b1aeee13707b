"""One question that is put at every door, and which parts of an answer are told anew each time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.daemon import RunningDaemon

# Told anew by each answer: who, when, how much; not what.
ANEW = {
    *(
        "request_id",
        "run_id",
        "pid",
        "started_at",
        "ready_at",
        "exited_at",
        "health_checked_at",
        "checked_at",
    ),
    *("log_cursor", "cursor", "next_cursor", "newest_cursor", "oldest_cursor", "freed_bytes", "event_id"),
    *(
        "latency_ms",
        "cpu_percent",
        "rss_bytes",
        "open_files",
        "threads",
        "created_at",
        "updated_at",
        "run",
        "at",
    ),
    *("uptime_seconds", "built_at", "ended_at", "seconds", "runs", "successes", "lines", "progress", "phase"),
    *("last_id", "previous_cursor", "heartbeat"),
}


def nothing(daemon: RunningDaemon) -> None:
    """There is nothing to do before."""


@dataclass(frozen=True)
class Case:
    """What is asked (`{home}` in it is the daemon's), the code of the problem that it meets (none: it goes well), what to do
    before, at each door, and what once after all of them."""

    name: str
    given: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    before: Callable[[RunningDaemon], object] = nothing
    anew: frozenset[str] = frozenset()  # what else is told anew each time
    after: Callable[[RunningDaemon], object] = nothing

    def asked(self, daemon: RunningDaemon) -> dict[str, Any]:
        return {name: _at_home(value, daemon) for name, value in self.given.items()}

    def __str__(self) -> str:
        return f"{self.name}-{self.code or 'ok'}"


def _at_home(value: Any, daemon: RunningDaemon) -> Any:
    if callable(value):  # what only the daemon knows, such as the id of a run
        return value(daemon)
    if isinstance(value, list):
        return [_at_home(each, daemon) for each in value]
    return value.replace("{home}", str(daemon.home)) if isinstance(value, str) else value


def same_each_time(told: Any, anew: frozenset[str] = frozenset()) -> Any:
    """The answer without what is told anew each time."""
    if isinstance(told, dict):
        return {
            key: same_each_time(value, anew) if key not in ANEW | anew else None
            for key, value in told.items()
        }
    if isinstance(told, list):
        return [same_each_time(each, anew) for each in told]
    return re.sub(r"after \d+ ms", "after some ms", told) if isinstance(told, str) else told
