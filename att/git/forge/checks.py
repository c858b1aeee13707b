"""Runs the checks of the local forge: each commit of an open pull request once, in a clean copy, with the project's own command.

The queue is the table of checks, so it outlives the daemon: what ran when a daemon died is run again (three lives at the most),
what it left on disk is cleared at the next start, and what it left running is ended by its mark. The copy is a clone that shares
objects and nothing else, so a check cannot move a branch. A check has its own TMPDIR, and at its end, at its time limit and when it
is cancelled the whole tree of processes is ended. A newer commit of the same pull request takes the place of an older check.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Connection

from att.catalogue import Call
from att.git.forge import ci, rows, tell, work
from att.git.forge.bare import Bare
from att.git.forge.errors import CheckNotFound, CheckNotRunning, CheckRunning, InvalidForgeSettings, LogGone
from att.git.forge.models import Check, CheckLog, Conclusion, Lost, ReadCheckLog, Status
from att.git.forge.output import Output, read
from att.git.forge.pages import Piece
from att.git.forge.running import Running, run
from att.problems import Problem
from att.project.files import remove_tree
from att.store.store import Store
from att.store.times import now

NAME = "ci"
LOOK = 5.0
"""Seconds between two looks for pushes, while there is an open pull request."""
BY_ITSELF = Call(request_id="checks", actor="att", door="daemon")
_SUPERSEDED = "a newer commit took its place"
log = structlog.get_logger("att.forge")


@dataclass(frozen=True, slots=True)
class Found:
    """Where a project is, and its bare repository."""

    folder: Path
    bare: Bare


@dataclass
class _Under:
    """A check that runs. `stop`: it was told to end, with this reason."""

    task: asyncio.Task[None]
    project_id: str
    stop: tuple[str, Call] | None = None


class Checks:
    def __init__(
        self,
        store: Store,
        home: Path,
        environ: Mapping[str, str],
        where: Callable[[str], Awaitable[Found | None]],
        *,
        parallel: int = 1,
    ) -> None:
        """`where`: asked for the project of a check."""
        self._store = store
        self._outputs = home / "forge" / "checks"
        self._work = home / "forge" / "work"
        self._environ = environ
        self._where = where
        self._parallel = parallel
        self._under: dict[str, _Under] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._wake = asyncio.Event()
        self._news: dict[str, asyncio.Event] = {}
        self._dispatcher: asyncio.Task[None] | None = None
        self._ending: list[asyncio.Task[None]] | None = None

    async def open(self) -> None:
        """Clear what a dead daemon left, queue again what it ran, and begin."""
        await asyncio.to_thread(remove_tree, self._work)
        _, given_up = await self._store.write(rows.begin_again)
        for check_id in given_up:
            reason = f"the daemon ended {rows.INTERRUPTED} times while it ran"
            await self._end(check_id, Conclusion.CANCELLED, BY_ITSELF, reason=reason)
        self._dispatcher = asyncio.create_task(self._dispatch(), name="forge-checks")

    def leave(self) -> None:
        """The daemon is about to leave: nobody waits for output any longer, and what runs is told to end, once: a second
        word would cut off the ending of its processes."""
        if self._ending is None:
            self._ending = [under.task for under in self._under.values()]
            self._ending += [self._dispatcher] if self._dispatcher else []
            for task in self._ending:
                task.cancel()
        for event in self._news.values():
            event.set()

    async def aclose(self) -> None:
        """Stop; what runs is begun anew in the next life."""
        self.leave()
        if self._ending:
            await asyncio.wait(self._ending)

    async def notice(self, project_id: str, found: Found) -> None:
        """Queue a check for each open pull request whose newest commit has none."""
        async with self._locks.setdefault(project_id, asyncio.Lock()):
            open_pulls = await self._store.read(lambda c: rows.some_pulls(c, project_id, state="open"))
            tips = await work.tips(found.bare.folder)
            heads = {row["head"]: tips.get(row["head"]) for row in open_pulls}
            for row in open_pulls:
                sha = heads[row["head"]]
                if sha is not None and sha != row["details"].get("checked"):
                    await self._new_head(project_id, row, sha, found.bare)
            await self._supersede(project_id, {sha for sha in heads.values() if sha})

    async def stop_project(self, project_id: str) -> None:
        """Nothing of the project runs when this returns."""
        for check_id, under in list(self._under.items()):
            if under.project_id == project_id:
                await self._stop(check_id, "the project was deleted", BY_ITSELF)
        await asyncio.to_thread(remove_tree, self._outputs / project_id)

    async def cancel(self, project_id: str, check_id: str, call: Call) -> Check:
        row = await self._row(project_id, check_id)
        if row["status"] == Status.COMPLETED.value:
            raise CheckNotRunning(f"The check {check_id} ended with {row['conclusion']}.")
        await self._stop(check_id, f"cancelled by {call.actor}", call)
        return rows.check_of(await self._row(project_id, check_id))

    async def rerun(self, project_id: str, check_id: str) -> Check:
        row = await self._row(project_id, check_id)
        if row["status"] != Status.COMPLETED.value:
            raise CheckRunning(f"The check {check_id} is {row['status']}.")
        fresh = {
            "attempt": row["details"].get("attempt", 1) + 1,
            "exit_code": None,
            "reason": None,
            "lives": 1,
        }
        values = {"status": Status.QUEUED.value, "conclusion": None, "started_at": None, "ended_at": None}
        await self._store.write(lambda c: rows.change_check(c, row, fresh, **values))
        self._wake.set()
        return rows.check_of(await self._row(project_id, check_id))

    async def log(self, ask: ReadCheckLog) -> CheckLog:
        """A piece of the output; waits for new output when there is none yet."""
        deadline = time.monotonic() + ask.wait
        while True:
            news = self._news.setdefault(ask.run, asyncio.Event())
            row = await self._row(ask.project_id, ask.run)
            over = row["status"] == Status.COMPLETED.value
            folder = self._outputs / ask.project_id / ask.run
            found = await asyncio.to_thread(read, folder, ask.cursor, ask.limit, over=over)
            if found is None and over and row["started_at"]:
                raise LogGone(f"The output of the check {ask.run} is not kept any more.")
            left = deadline - time.monotonic()
            if over or left <= 0 or self._ending is not None or (found is not None and found.text):
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await news.wait()
        if over:
            self._news.pop(ask.run, None)
        found = found or Piece("", ask.cursor or "0", over)
        return CheckLog(
            run=ask.run,
            status=Status(row["status"]),
            conclusion=row["conclusion"],
            text=found.text,
            next_cursor=found.next_cursor,
            complete=over and found.last,
            lost=Lost(bytes=found.lost) if found.lost else None,
        )

    # -- the queue

    async def _row(self, project_id: str, check_id: str) -> rows.Row:
        row = await self._store.read(lambda c: rows.check(c, check_id, project_id))
        if row is None:
            raise CheckNotFound(f"There is no check {check_id}.")
        return row

    async def _new_head(self, project_id: str, pull: rows.Row, sha: str, bare: Bare) -> None:
        command, reason = await _command(bare.folder, sha)
        known = await self._store.read(lambda c: rows.some_checks(c, project_id, sha=sha, limit=1))
        check_id = f"{time.time_ns() // 1000:014x}{secrets.token_hex(4)}"
        values = {"id": check_id, "project_id": project_id, "head_sha": sha, "name": NAME}
        details = {
            "branch": pull["head"],
            "command": list(command or ()) or None,
            "reason": reason,
            "lives": 1,
        }

        def write(connection: Connection) -> list[str]:
            noted = {**pull["details"], "head_sha": sha, "checked": sha}
            rows.change_pull(connection, project_id, pull["number"], noted)
            if not known and (command or reason):
                rows.add_check(connection, values, details)
            return list(rows.prune(connection, project_id))

        kept = await self._store.write(write)
        if reason and not known:
            await self._end(check_id, Conclusion.FAILURE, BY_ITSELF)
        await asyncio.to_thread(_prune, self._outputs / project_id, kept)
        self._wake.set()

    async def _supersede(self, project_id: str, heads: set[str]) -> None:
        """What checks a commit that no open pull request is at any more is not of interest."""
        for row in await self._store.read(lambda c: rows.unfinished(c, project_id)):
            if row["head_sha"] not in heads and row["details"].get("attempt", 1) == 1:
                await self._stop(row["id"], _SUPERSEDED, BY_ITSELF)

    async def _stop(self, check_id: str, reason: str, call: Call) -> None:
        under = self._under.get(check_id)
        if under is None:
            await self._end(check_id, Conclusion.CANCELLED, call, reason=reason)
            return
        under.stop = (reason, call)
        under.task.cancel()
        await asyncio.wait([under.task])

    async def _end(self, check_id: str, conclusion: Conclusion, call: Call, **details: object) -> None:
        await self._store.write(
            lambda c: rows.end_check(c, check_id, conclusion, call, tell.check_completed, **details)
        )
        self._tell(check_id)

    def _tell(self, check_id: str) -> None:
        event = self._news.pop(check_id, None)
        if event is not None:
            event.set()

    async def _dispatch(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
                await self._fill()
            except (Problem, OSError) as problem:  # the disk, the store: what is queued stays so
                log.warning("checks_held_up", code=getattr(problem, "code", "os_error"), detail=str(problem))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._wake.wait()

    async def _look(self) -> None:
        for project_id in await self._store.read(rows.with_open_pulls):
            found = await self._where(project_id)
            if found is not None:
                await self.notice(project_id, found)

    async def _fill(self) -> None:
        for row in await self._store.read(rows.unfinished):
            if len(self._under) >= self._parallel:
                return
            if row["id"] not in self._under:
                task = asyncio.create_task(self._whole(row), name=f"check {row['id']}")
                self._under[row["id"]] = _Under(task, row["project_id"])

    async def _whole(self, row: rows.Row) -> None:
        """One check from its start to its end, whatever that is."""
        try:
            await self._concluded(row)
            self._wake.set()
        except Problem as problem:  # it could not be written down: it is run again at the next look
            log.warning("check_not_recorded", check=row["id"], code=problem.code, detail=problem.detail)
        finally:
            del self._under[row["id"]]

    async def _concluded(self, row: rows.Row) -> None:
        check_id, call = row["id"], BY_ITSELF
        try:
            conclusion, details = await self._run(row)
        except asyncio.CancelledError:
            stop = self._under[check_id].stop
            if stop is None:
                raise
            conclusion, details, call = Conclusion.CANCELLED, {"reason": stop[0]}, stop[1]
        except Problem as problem:
            conclusion, details = Conclusion.FAILURE, {"reason": problem.detail}
        except OSError as error:
            conclusion, details = (
                Conclusion.FAILURE,
                {"reason": f"{error.filename or 'it'}: {error.strerror}"},
            )
        await self._end(check_id, conclusion, call, **details)

    async def _run(self, row: rows.Row) -> tuple[Conclusion, dict[str, object]]:
        check_id, project_id = row["id"], row["project_id"]
        found = await self._where(project_id)
        if found is None:
            return Conclusion.CANCELLED, {"reason": "the project's repository is gone"}
        values = {"status": Status.IN_PROGRESS.value, "started_at": now()}
        await self._store.write(lambda c: rows.change_check(c, row, {}, **values))
        output = await asyncio.to_thread(Output, self._outputs / project_id / check_id)
        place = self._work / check_id

        def heard(line: str) -> None:
            output.line(line)
            self._tell(check_id)

        try:
            wish = Running(
                found.bare.folder,
                row["head_sha"],
                found.folder,
                place,
                tuple(row["details"]["command"] or ()),
            )
            settings = await _settings(found.bare.folder, row["head_sha"])
            return await run(wish, settings.ci.timeout, self._environ, heard)
        finally:
            output.close()
            await asyncio.shield(asyncio.to_thread(remove_tree, place))


async def _settings(repository: Path, sha: str) -> ci.ForgeSettings:
    return ci.parse(await work.text_at(repository, sha, ci.FILE))


async def _command(repository: Path, sha: str) -> tuple[tuple[str, ...] | None, str | None]:
    """What checks this commit; or why that cannot be told."""
    try:
        settings = await _settings(repository, sha)
    except InvalidForgeSettings as problem:
        return None, problem.detail
    return ci.command(settings.ci, await work.modes(repository, sha, ci.LOOKED_AT)), None


def _prune(folder: Path, kept: list[str]) -> None:
    if folder.is_dir():
        for each in folder.iterdir():
            if each.name not in kept:
                remove_tree(each)
