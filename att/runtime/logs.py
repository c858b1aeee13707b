"""The logs of all projects: each opened when it is first asked for, and one only for each project.

The keeper gives the output of a run to the log of the project, readers come and go; so both ask here. Nothing is decided.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from supervisor.logs.log import Log
from supervisor.logs.values import Keeping, LogSettings

OnKeeping = Callable[[str, Keeping], None]


class Logs:
    """`logs(project_id)` is the log. `on_keeping(project_id, keeping)` is called, in another thread, when the disk is full."""

    def __init__(self, folder: Path, settings: LogSettings, on_keeping: OnKeeping | None = None) -> None:
        self._folder = folder
        self._settings = settings
        self._on_keeping = on_keeping
        self._open: dict[str, Log] = {}
        self._held: set[str] = set()
        self._ending = False

    def hold(self, project_id: str) -> None:
        """The launcher holds a ring for this log, so it goes on there when it is opened."""
        self._held.add(project_id)

    def __call__(self, project_id: str) -> Log:
        log = self._open.get(project_id)
        if log is None:
            folder, hear = self._folder / project_id, self._hear(project_id)
            held = project_id in self._held
            log = Log.open(project_id, folder, self._settings, hear, held=held)
            self._held.discard(project_id)
            if self._ending:
                log.end_waits()
            self._open[project_id] = log
        return log

    def _hear(self, project_id: str) -> Callable[[Keeping], None] | None:
        call = self._on_keeping
        return None if call is None else lambda keeping: call(project_id, keeping)

    def end_waits(self) -> None:
        """The daemon is about to end: long polls of any log do so now."""
        self._ending = True
        for log in self._open.values():
            log.end_waits()

    async def forget(self, project_id: str) -> None:
        """Close the log and remove its files."""
        log = self._open.pop(project_id, None)
        if log is not None:
            await asyncio.to_thread(log.close)
        await asyncio.to_thread(shutil.rmtree, self._folder / project_id, ignore_errors=True)

    async def aclose(self) -> None:
        """Close every log; what the pipes still hold is taken first."""
        for log in self._open.values():
            await asyncio.to_thread(log.close)
        self._open.clear()
