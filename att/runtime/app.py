"""One app while it is the current one: its runner, and the record of what happens to it.

The runner tells its events in order; one task writes each to the store (the run's row and the event in one transaction) before
it takes the next. An exit is acknowledged to the keeper only when it is on disk. When a run failed, the app's own last lines
are searched for the real error, which then is the reason that everybody sees; an error that a further start cannot mend (a
wrong config, a missing module) ends the restarts of an app that never was ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

import structlog

from att.catalogue import Call
from att.event.models import Outcome
from att.problems import Problem
from att.project.models import ProjectStatus
from att.runtime import heritage, rows, truth
from att.runtime.preflight import Ready
from att.runtime.rows import Note
from att.store.store import Store
from att.store.times import stamp
from supervisor import runner as told
from supervisor.errors import NotRunning
from supervisor.keeper import Keeper
from supervisor.logs.errors import LogError
from supervisor.logs.log import Log
from supervisor.logs.values import Filters
from supervisor.runner import Runner, RunnerEvent
from supervisor.spec import AppSpec

LAST_LINES = 400
HOPELESS = frozenset({truth.Cause.UNKNOWN_COMPONENT, truth.Cause.INVALID_CONFIG, truth.Cause.MODULE_MISSING})
_log = structlog.get_logger("att.runtime")

Role = Literal["current", "candidate", "draining"]
SetStatus = Callable[[str, ProjectStatus], Awaitable[object]]
AT_DAEMON = Call(request_id="", actor="att", door="daemon")


class NotKept(Exception):
    """The store did not take what was told of a run."""


class App:
    """Made by `App.open`; `runner` takes the wishes. `call` is who asked last: asked-for events carry that name."""

    def __init__(
        self, ready: Ready, spec: AppSpec, log: Log, store: Store, set_status: SetStatus, call: Call
    ) -> None:
        self.role: Role = "current"
        self.artefact_id: str | None = None
        self.ready = ready
        self.spec = spec
        self.log = log
        self.call = call
        self.stop_reason = ""
        self.error: truth.Truth | None = None  # of the last run that failed
        self.last_words: list[str] = []
        self.gave_up = False
        self.begun = asyncio.Event()  # a process was made, or will not be
        self.changes = 0  # grows with everything that happens; followers look at it
        self.log_cursor: str | None = None
        self.log_cursors: dict[str, str] = {}
        self.runner: Runner
        self._store = store
        self._set_status = set_status
        self._was_ready = False
        self._queue: asyncio.Queue[tuple[RunnerEvent, str, asyncio.Future[None]] | None] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    def open(
        cls,
        ready: Ready,
        spec: AppSpec,
        keeper: Keeper,
        log: Log,
        store: Store,
        set_status: SetStatus,
        call: Call,
        found: told.Living | told.Waiting | None = None,
        *,
        role: Role = "current",
        artefact_id: str | None = None,
        held: bool = False,
    ) -> App:
        """`found`: what an earlier life of the daemon has left of it; it goes on there. `held`: it takes no connections yet."""
        app = cls(ready, spec, log, store, set_status, call)
        app.role, app.artefact_id = role, artefact_id
        if found is None:
            app.runner = Runner.open(spec, keeper, log, app._on_event, held=held)
        else:
            app.runner = Runner.adopt(spec, keeper, log, app._on_event, found)
            app.begun.set()
        if isinstance(found, told.Living):
            app.log_cursor = found.cursor
            app._was_ready = found.ready_at is not None
        app._writer = asyncio.create_task(app._write(), name=f"record {ready.place.project_id}")
        return app

    @property
    def project_id(self) -> str:
        return self.ready.place.project_id

    async def replace(self, ready: Ready, spec: AppSpec) -> None:
        """What the next run is."""
        self.ready, self.spec = ready, spec
        self.error, self.gave_up = None, False
        await self.runner.replace(spec)

    async def promoted(self, spec: AppSpec) -> None:
        """What was tried is the project's app; `spec` is that of its next run."""
        self.role, self.spec = "current", spec
        await self._status(ProjectStatus.RUNNING)

    async def settled(self) -> None:
        """Returns when everything told so far is on disk."""
        await self._queue.join()

    async def aclose(self) -> None:
        """Stop what runs and write the last events."""
        if self._ending is not None:
            await asyncio.wait([self._ending])
        await self.runner.aclose()
        await self._end_writing()

    async def detach(self) -> None:
        """Leave the app to its keeper and the next life; write the last events."""
        if self._ending is not None:
            self._ending.cancel()
        await self.runner.detach()
        await self._end_writing()

    async def _end_writing(self) -> None:
        await self._queue.join()
        self._queue.put_nowait(None)
        if self._writer is not None:
            await self._writer

    def _on_event(self, event: RunnerEvent) -> Awaitable[None] | None:
        self.changes += 1
        if isinstance(event, told.Started):
            self.log_cursor = self.log.newest
            self.log_cursors[event.run_id] = self.log_cursor
            self.begun.set()
        elif isinstance(event, told.Failed):
            self.begun.set()
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        details = ""
        if isinstance(event, told.Started | told.Exited | told.Stopped | told.Failed):
            wait = event.next_start_in if isinstance(event, told.Exited) else None
            details = heritage.details(
                self.spec, self.runner.memory, wait, role=self.role, artefact_id=self.artefact_id
            )
        self._queue.put_nowait((event, details, written))
        return written if isinstance(event, told.Exited) else None

    async def _write(self) -> None:
        while (entry := await self._queue.get()) is not None:
            event, details, written = entry
            kept = False
            try:
                await self._record(event, details)
                kept = True
            except Problem as problem:  # the store's own: the app goes on, and the daemon's log tells it
                _log.error(
                    "event_not_kept",
                    runtime_event=type(event).__name__,
                    code=problem.code,
                    detail=problem.detail,
                )
            except Exception:  # a fault of ours: told, and whoever waits for `settled` does not wait for ever
                _log.exception("event_not_kept", runtime_event=type(event).__name__)
            finally:
                self.changes += 1
                if not written.done():
                    # an exit that is not on disk stays with the keeper, and the next life hears of it again
                    refused = isinstance(event, told.Exited) and not kept
                    written.set_exception(NotKept(event.run_id)) if refused else written.set_result(None)
                self._queue.task_done()

    async def _record(self, event: RunnerEvent, details: str) -> None:
        match event:
            case told.Started():
                await self._started(event, details)
            case told.Ready():
                self._was_ready = True
                values = {"state": "running"} | ({} if event.recovered else {"ready_at": stamp(event.at)})
                note = self._note("runtime.ready", {"run_id": event.run_id, "recovered": event.recovered})
                await self._store.write(rows.change(event.run_id, values, [note]))
                await self._status(ProjectStatus.RUNNING)
            case told.Unhealthy():
                payload: dict[str, Any] = {
                    "run_id": event.run_id,
                    "probe": event.probe,
                    "reason": event.reason,
                }
                note = self._note("runtime.unhealthy", payload, failed=True)
                await self._store.write(rows.change(event.run_id, {}, [note]))
            case told.Exited():
                await self._exited(event, details)
            case told.Restarted():
                payload = {
                    "run_id": event.run_id,
                    "previous": event.previous,
                    "restarts": event.restarts,
                    "reason": event.reason,
                }
                note = self._note("runtime.restarted", payload, asked=True)
                await self._store.write(rows.change(event.run_id, {"restarts": event.restarts}, [note]))
            case told.Stopped():
                reason = self.stop_reason or event.reason
                payload = {"run_id": event.run_id, "reason": reason, "role": self.role}
                note = self._note(
                    "runtime.failed" if self.gave_up else "runtime.stopped", payload, asked=True
                )
                await self._store.write(rows.change(event.run_id, {"details": details}, [note]))
                await self._status(ProjectStatus.ERROR if self.gave_up else ProjectStatus.STOPPED)
            case told.Failed():
                said = self.error.text if self.error else event.reason
                payload = {"run_id": event.run_id, "code": event.code, "reason": event.reason, "error": said}
                note = self._note("runtime.failed", payload, failed=True)
                await self._store.write(
                    rows.change(event.run_id, {"state": "failed", "reason": said, "details": details}, [note])
                )
                await self._status(ProjectStatus.ERROR)

    async def _started(self, event: told.Started, details: str) -> None:
        spec = self.spec
        values = {
            "state": "starting",
            "pid": event.pid,
            "command": json.dumps(list(spec.command)),
            "host": spec.host,
            "port": spec.port,
            "log_cursor": self.log_cursors.pop(event.run_id, None),
            "started_at": stamp(event.at),
            "details": details,
        }
        payload = {
            "run_id": event.run_id,
            "pid": event.pid,
            "command": list(spec.command),
            "host": spec.host,
            "port": spec.port,
            "warnings": list(self.ready.warnings),
            "role": self.role,
            "artefact_id": self.artefact_id,
        }
        note = self._note("runtime.started", payload, asked=True)
        await self._store.write(rows.begin(event.run_id, self.project_id, values, note))

    async def _exited(self, event: told.Exited, details: str) -> None:
        found: truth.Truth | None = None
        if event.failure and not event.asked:
            self.last_words = await self._last_lines(event.run_id)
            found = truth.find(self.last_words)
            self.error = found
        reason = found.text if found else event.reason
        values = {
            "state": "stopped",
            "reason": reason,
            "exited_at": stamp(event.at),
            "exit_code": event.exit_code,
            "exit_signal": event.exit_signal,
            "details": details,
        }
        payload = {
            "run_id": event.run_id,
            "exit_code": event.exit_code,
            "exit_signal": event.exit_signal,
            "asked": event.asked,
            "forced": event.forced,
            "leftovers": event.leftovers,
            "reason": event.reason,
            "error": found.text if found else None,
            "next_start_in": event.next_start_in,
        }
        note = self._note(
            "runtime.exited", payload, asked=event.asked, failed=event.failure and not event.asked
        )
        await self._store.write(rows.change(event.run_id, values, [note]))
        if found and found.cause in HOPELESS and not self._was_ready and event.next_start_in is not None:
            self.gave_up, self.stop_reason = True, found.text
            self._ending = asyncio.create_task(self._give_up(), name=f"give up {self.project_id}")

    async def _give_up(self) -> None:
        with contextlib.suppress(NotRunning):
            await self.runner.stop()

    async def _last_lines(self, run_id: str) -> list[str]:
        try:
            page = await self.log.page(None, LAST_LINES, filters=Filters(run=run_id))
        except LogError as fault:
            _log.warning("last_lines_unreadable", run_id=run_id, reason=str(fault))
            return []
        return [line.text for line in page.lines]

    async def _status(self, status: ProjectStatus) -> None:
        if self.role != "current":
            return  # another version speaks for the project
        try:
            await self._set_status(self.project_id, status)
        except Problem as problem:
            _log.warning("status_not_set", project_id=self.project_id, status=status.value, code=problem.code)

    def _note(
        self, event_type: str, payload: dict[str, Any], *, asked: bool = False, failed: bool = False
    ) -> Note:
        call = self.call if asked else AT_DAEMON
        outcome = Outcome.FAILED if failed or event_type == "runtime.failed" else Outcome.OK
        return Note(event_type, self.project_id, payload, call.actor, call.request_id or None, outcome)


def moment(at: datetime | None) -> str | None:
    """A time of the supervisor as the contract writes it."""
    return None if at is None else stamp(at)
