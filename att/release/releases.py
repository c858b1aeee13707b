"""The service of the room: lists, makes, switches and clears releases, and speaks with the launcher, which alone decides what
runs.

Nothing of a switch is held in memory only: the record and the journal are the launcher's, so the life that takes over tells the
same. One making at a time, one clearing at a time.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

import att
from att import shortrun
from att.catalogue import Call
from att.event.log import EventLog
from att.event.models import Outcome
from att.release import errors, pruning, source
from att.release.disk import Disk
from att.release.journal import Switch, switch_to
from att.release.models import Release, ReleaseRow
from att.release.naming import release_id
from att.release.record import INSTALLED, BootRecord, State
from att.release.shelf import Shelf
from att.release.shim import point_at, write_shim
from att.release.staging import Run, Staging, StagingState
from att.release.uses import used
from att.release.words import Entry, Send, Words

EXTRAS = {"postgres": "asyncpg"}  # an extra of ours → what shows that this installation has it
LINES = 50
log = structlog.get_logger("att.release")


class Releases:
    """`send` takes a message to the launcher; None without one. `running` is the release that this daemon is."""

    def __init__(
        self,
        home: Path,
        events: EventLog,
        send: Send | None,
        *,
        running: str | None,
        version: str,
        environ: Mapping[str, str],
        keep: int = pruning.KEEP,
        disk: Disk | None = None,
        run: Run = shortrun.run,
    ) -> None:
        self.shelf = Shelf(home, disk or Disk())
        self.words = Words(send) if send is not None else None
        self.staging: Staging | None = None
        self._running, self._version = running or INSTALLED, version
        self._events, self._environ, self._keep, self._run = events, environ, keep, run
        self._clearing = asyncio.Lock()
        self._finding = asyncio.Lock()
        self._tidied = asyncio.Event()  # before that, what is half made is an earlier life's
        self._tasks: set[asyncio.Task[None]] = set()
        if self.words is not None:
            self.words.on_entry(self._heard)

    async def open(self) -> None:
        """Begin to tidy up: nobody waits for that but who wants to make a release."""
        if self.words is not None:
            self._soon(self._tidy())

    async def _tidy(self) -> None:
        """Clear what an earlier life left half made, and have `ATT_HOME/bin/att` lead to this release."""
        try:
            await asyncio.to_thread(self._point)
            for name in await asyncio.to_thread(self.shelf.clear):
                log.info("cleared", release=name, reason="its making did not come to an end")
        except OSError as fault:
            log.warning("releases_not_cleared", reason=str(fault))
        self._tidied.set()
        await self.prune()

    async def aclose(self) -> None:
        if self.words is not None:
            self.words.close()
        if self.staging is not None:
            await self.staging.cancel()
        for task in self._tasks:
            if task.get_name() in ("prune", "_tidy"):
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def hear(self, message: dict[str, Any]) -> None:
        """A message from the launcher."""
        if self.words is not None:
            self.words.hear(message)

    # -- reading

    async def rows(self) -> tuple[list[ReleaseRow], str | None]:
        """All releases, the newest first, and the rung of the launcher's ladder."""
        record, found = await self._look()
        making = self._making()
        begun = [making.release] if making is not None else []
        names = dict.fromkeys([*found, *begun, *record.releases, INSTALLED])
        rows = [ReleaseRow(**self._row(name, record, found.get(name))) for name in names]
        rows.sort(key=lambda row: (row.id != INSTALLED, row.built_at or row.id, row.id), reverse=True)
        return rows, record.rung if self.words is not None else None

    async def status(self, word: str, *, verify: bool = False) -> Release:
        record, found = await self._look()
        name = record.named(word) or ""
        staging = self.staging if self.staging is not None and self.staging.release == name else None
        if name not in found and name not in record.releases and name != INSTALLED and staging is None:
            raise errors.ReleaseNotFound(f"There is no release {word!r}.")
        body = found.get(name, {})
        told: dict[str, Any] = self._row(name, record, found.get(name))
        told |= {
            "source": body.get("source"),
            "digest": body.get("digest"),
            "python": body.get("python_version"),
        }
        if verify and body:
            told["intact"] = await asyncio.to_thread(self.shelf.digest, name) == body.get("digest")
        if staging is not None and (staging.state is not StagingState.READY or not self.shelf.record()):
            told |= {
                "phase": staging.phase,
                "progress": round(staging.share, 3),
                "lines": staging.lines[-LINES:],
            }
            told["error"] = staging.problem.detail if staging.problem is not None else None
        else:
            switch = await self.switch_of(name)
            if switch.phase:
                told |= {"phase": switch.phase, "progress": switch.share, "error": switch.error}
        return Release(**told)

    async def switch_of(self, name: str) -> Switch:
        """The last switch to this release, as the journal tells of it."""
        return switch_to(name, await asyncio.to_thread(self.shelf.journal))

    async def _look(self) -> tuple[BootRecord, dict[str, Mapping[str, Any]]]:
        found = await asyncio.to_thread(self.shelf.found)
        try:
            record = await asyncio.to_thread(self.shelf.record)
        except (OSError, ValueError) as fault:
            raise errors.RecordUnreadable(f"boot.json: {fault}") from None
        return record or BootRecord(current=self._running), found

    def _row(self, name: str, record: BootRecord, body: Mapping[str, Any] | None) -> dict[str, Any]:
        making = self._making()
        standing = record.releases.get(name)
        state = standing.state if standing is not None else State.GOOD if name == INSTALLED else State.BUILT
        if making is not None and making.release == name:
            state = State.BUILDING
        elif body is None and name != INSTALLED:
            staged = self.staging is not None and self.staging.release == name
            state = State.FAILED if staged else State.MISSING
        named = {"current": record.current, "previous": record.previous, "staged": record.staged}
        roles = [role for role, release in named.items() if release == name]
        return {
            "id": name,
            "state": state,
            "reason": (standing.reason if standing is not None else "") or None,
            "roles": roles + (["running"] if name == self._running else []),
            "version": self._version if name == self._running else (body or {}).get("version"),
            **{key: (body or {}).get(key) for key in ("commit", "built_at")},
        }

    def _making(self) -> Staging | None:
        return self.staging if self.staging and self.staging.state is StagingState.BUILDING else None

    # -- making

    async def stage(self, told: str, repository: str | None, call: Call) -> Release:
        """Begin to make a release; it is the launcher's staged one when it is made."""
        self._need_launcher()
        await self._tidied.wait()
        async with self._finding:
            self._refuse_while_making()
            meant = await source.find(told, Path(repository) if repository else self._repository())
            origin = meant.origin if meant.origin else "0"
            name = release_id(datetime.now(UTC), origin, await asyncio.to_thread(self.shelf.taken))

            async def ready() -> None:
                await self._ask("stage", name)

            extras = [extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module)]
            made = Staging(self.shelf, name, meant, self._environ, extras=extras, run=self._run, tell=ready)
            self.staging = made
            made.start()
        self._soon(self._record(made, call))
        return await self.status(name)

    async def cancel(self, release: str) -> Release:
        """End the making; returns when nothing of it is left."""
        making = self._making()
        if making is None or making.release != release:
            await self.status(release)  # which says so when there is none of this name
            raise errors.NothingToCancel(f"{release} is not being made.")
        await making.cancel()
        return await self.status(release)

    def _repository(self) -> Path | None:
        return source.own_repository(self.shelf.description(self._running), Path(att.__file__).parent)

    def _refuse_while_making(self) -> None:
        making = self._making()
        if making is not None:
            raise errors.StagingUnderWay(f"{making.release} is being made.", release_id=making.release)

    async def _record(self, made: Staging, call: Call) -> None:
        state = await made.done()
        payload: dict[str, Any] = {"release": made.release, "source": made.source.told}
        payload |= {"version": made.source.version, "commit": made.source.commit}
        outcome = Outcome.OK if state is StagingState.READY else Outcome.FAILED
        if state is not StagingState.READY:
            error = made.problem.detail if made.problem is not None else "cancelled"
            code = made.problem.code if made.problem is not None else "cancelled"
            payload |= {"phase": made.phase, "error": error, "code": code}
        await self._events.append(
            "release.staged" if state is StagingState.READY else "release.failed",
            payload=payload,
            actor=call.actor,
            request_id=call.request_id or None,
            outcome=outcome,
        )
        if state is StagingState.READY:
            self._soon(self.prune())

    # -- switching

    async def switch(self, word: str, call: Call, *, force: bool = False) -> Release:
        """Begin the switch; how it goes on is followed by `status`, in this life and the next."""
        self._need_launcher()
        self._refuse_while_making()
        record, found = await self._look()
        name = record.named(word) or ""
        if name not in record.releases and name not in found:
            raise errors.ReleaseNotFound(f"There is no release {word!r}.")
        await self._may_run(name, record)
        state = record.state(name)
        if state is State.FAILED and not force:
            reason = record.releases[name].reason
            raise errors.ReleaseFailedBefore(f"{name} has failed: {reason or 'see its log'}.", reason=reason)
        if state in (State.FAILED, None):
            await self._ask("stage", name)
        await self._ask("switch", name)
        return await self.status(name)

    async def roll_back(self, call: Call) -> Release:
        """Begin the switch to the good release before the current one."""
        self._need_launcher()
        record, found = await self._look()
        back = record.way_back([name for name in found if self.shelf.runs(name)])
        if back is None:
            raise errors.NoWayBack("No other release is good.")
        await self._ask("switch", back)
        return await self.status(back)

    async def _may_run(self, name: str, record: BootRecord) -> None:
        if name == record.current:
            raise errors.AlreadyCurrent(f"{name} is the one that runs.")
        entries = await asyncio.to_thread(self.shelf.journal)
        under_way = next((n for n in record.releases if switch_to(n, entries).under_way), None)
        if under_way is not None:
            raise errors.SwitchUnderWay(f"A switch to {under_way} is under way.", release_id=under_way)
        if name != INSTALLED and not await asyncio.to_thread(self.shelf.runs, name):
            raise errors.ReleaseUnusable(f"{name} has no interpreter any more.")

    async def _ask(self, kind: str, release: str) -> None:
        if self.words is None:
            raise errors.NoLauncher("This daemon was started without a launcher.")
        await self.words.ask(kind, release)

    def _need_launcher(self) -> None:
        if self.words is None:
            raise errors.NoLauncher("This daemon was started without a launcher.")

    # -- clearing

    def _heard(self, entry: Entry) -> None:
        if entry.get("event") in ("good", "failed", "rolled_back"):
            self._soon(self.prune())

    async def prune(self) -> None:
        """Remove what is needed no more."""
        async with self._clearing:
            try:
                record = await asyncio.to_thread(self.shelf.record)
                if record is None:
                    return
                plan = await asyncio.to_thread(self._plan, record)
                for name in plan.remove:
                    await asyncio.to_thread(self.shelf.discard, name)
                for name in plan.strip:
                    await asyncio.to_thread(self.shelf.strip, name)
            except (OSError, ValueError) as fault:
                log.warning("releases_not_pruned", reason=str(fault))
                return
            for name in (*plan.remove, *plan.strip):
                payload = {"release": name, "kept": "description" if name in plan.strip else None}
                await self._events.append("release.pruned", payload=payload)

    def _plan(self, record: BootRecord) -> pruning.Pruning:
        there = self.shelf.on_disk()
        first = pruning.plan(there, record, running=self._running, keep=self._keep)
        busy = used(self.shelf.folder, {*first.remove, *first.strip})
        return pruning.plan(there, record, running=self._running, used=busy, keep=self._keep)

    def _point(self) -> None:
        """`ATT_HOME/bin/att` calls this release from now on."""
        installed = self._running == INSTALLED
        write_shim(self.shelf.disk, self.shelf.home, installed=installed)
        point_at(self.shelf.disk, self.shelf.home, None if installed else self._running)

    def _soon(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=work.__name__)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(task.exception(), Exception):
            log.error("release_task_failed", task=task.get_name(), reason=str(task.exception()))
