"""What the daemon knows of its own health, gathered from its parts.

A part gives a function that answers at once with the reason why it is not well, or with nothing. Health is asked often,
by the launcher too, so it must not wait for anything: that it is answered at all shows that the event loop runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from att.health.models import Check, Heartbeat, Status

Ask = Callable[[], str | None]


class Vitals:
    """`state` is set by the daemon as it starts and stops; parts are added by whoever has one."""

    def __init__(self, version: str, release: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.version = version
        self.release = release
        self.pid = os.getpid()
        self.state = Status.STARTING
        self.safe_mode = False
        self.boot_id: str | None = None
        self.heartbeat: Callable[[], Heartbeat | None] = lambda: None
        self._clock = clock
        self._born = clock()
        self._parts: dict[str, Ask] = {}
        self._needed: set[str] = set()

    def add(self, name: str, ask: Ask, *, needed: bool = False) -> None:
        """A part of the daemon: `ask` returns None when it is well, else the reason.

        Without a part that is `needed` the daemon cannot take work; without another it is degraded.
        """
        self._parts[name] = ask
        if needed:
            self._needed.add(name)

    def ready(self) -> None:
        self.state = Status.OK

    def stopping(self) -> None:
        self.state = Status.STOPPING

    def can_work(self, checks: list[Check]) -> bool:
        """Whether the daemon has started, is not stopping, and has all that it needs."""
        return self.state is Status.OK and all(check.ok or check.name not in self._needed for check in checks)

    @property
    def uptime(self) -> float:
        return self._clock() - self._born

    def checks(self) -> list[Check]:
        """All parts now."""
        reasons = {name: ask() for name, ask in self._parts.items()}
        return [Check(name=name, ok=reason is None, reason=reason or "") for name, reason in reasons.items()]

    def status(self, checks: list[Check]) -> Status:
        """The state, or `degraded` when it runs with a part that is not well."""
        well = all(check.ok for check in checks)
        return self.state if well or self.state is not Status.OK else Status.DEGRADED
