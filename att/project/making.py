"""Making a project's files so that there is either a whole project or none, whatever happens in between.

The row comes first and reserves the name; the files are made in a workplace beside their place and renamed
when they are whole; then the row becomes a project. A daemon that is killed on the way leaves a row that
says where it was, and the next one undoes it. What was never ours (a directory that somebody else put there
meanwhile) is told by its inode, and left alone.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from att.catalogue import Call
from att.event.log import EventLog
from att.problems import Problem
from att.project import rows
from att.project.clone import Progress, clone
from att.project.clone_url import CloneUrl
from att.project.download_source import Archive
from att.project.errors import DirectoryNotEmpty, FilesNotMade
from att.project.files import identity, remove_tree
from att.project.models import Project
from att.project.places import MAKING, Places
from att.project.templates import Template
from att.store.errors import DiskFull
from att.store.store import Store

FindConfig = Callable[[Path], Path | None]
STEP = 10
"""Per cent of git's progress between two events."""


@dataclass(frozen=True, slots=True)
class Order:
    """A project to be made: from a template, by cloning, or from an archive."""

    id: str
    name: str
    source: Template | CloneUrl | Archive
    branch: str | None = None

    @property
    def event_type(self) -> str:
        return "project.cloned" if isinstance(self.source, CloneUrl) else "project.created"

    @property
    def told(self) -> dict[str, Any]:
        if isinstance(self.source, Template):
            return {"name": self.name, "template": self.source.name}
        if isinstance(self.source, Archive):
            return {"name": self.name, "archive": self.source.shown}
        return {"name": self.name, "git_remote": self.source.url, "branch": self.branch}

    def row(self, path: Path) -> dict[str, Any]:
        kinds = {Template: "template", CloneUrl: "clone", Archive: "archive"}
        origin = next(word for kind, word in kinds.items() if isinstance(self.source, kind))
        return {
            "id": self.id,
            "name": self.name,
            "path": str(path),
            "origin": origin,
            "template": self.source.name if isinstance(self.source, Template) else None,
            "git_remote": self.source.url if isinstance(self.source, CloneUrl) else None,
            "status": "cloned" if origin == "clone" else "created",
            "owns_files": True,
        }


class Maker:
    def __init__(
        self,
        store: Store,
        events: EventLog,
        places: Places,
        find_config: FindConfig,
        clone_timeout: float,
        local_downloads: bool = False,
    ) -> None:
        self._store = store
        self._events = events
        self._places = places
        self._find_config = find_config
        self._clone_timeout = clone_timeout
        self._local_downloads = local_downloads

    async def make(self, order: Order, call: Call) -> Project:
        """The new project; whatever is raised, nothing of it is left."""
        path, work = self._places.new(order.id), self._places.workplace(MAKING, order.id)
        memory: dict[str, Any] = {"step": "making", "work": str(work), "identity": None}
        row = order.row(path)

        def reserve(connection: Any) -> None:
            rows.reserve(connection, row)
            rows.remember(connection, order.id, memory)

        reserving = asyncio.ensure_future(self._store.write(reserve))
        try:
            await asyncio.shield(reserving)
            await asyncio.to_thread(_must_be_free, path)
            await self._fill(order, work, call)
            memory["identity"] = identity(work)
            config = await asyncio.to_thread(self._config_in, work)
            await self._store.write(lambda c: rows.remember(c, order.id, memory))
            await asyncio.to_thread(_put_in_place, work, path)
            return await self._store.write(
                lambda c: rows.finish_making(c, order.id, config, call, order.event_type, order.told)
            )
        except BaseException as error:
            if await _succeeded(reserving):
                await self._undo(order.id, path, memory, call, error)
            raise

    async def _fill(self, order: Order, work: Path, call: Call) -> None:
        try:
            await asyncio.to_thread(self._places.projects.mkdir, parents=True, exist_ok=True, mode=0o755)
            if isinstance(order.source, Template):
                await asyncio.to_thread(order.source.copy, work, order.name)
                return
        except OSError as error:
            raise _files_problem(error) from error
        reporter = _Reporter(self._events, order.id, call)
        if isinstance(order.source, Archive):
            await self._unpack(order.source, work, reporter)
            return
        await clone(
            order.source, work, branch=order.branch, timeout=self._clone_timeout, report=reporter.report
        )

    async def _unpack(self, source: Archive, work: Path, reporter: _Reporter) -> None:
        from att.project.importing import bring  # it loads an HTTP client, which most lives do not need

        async def report(stage: str, percent: int) -> None:
            await reporter.report(Progress(stage, percent), "project.download_progress")

        local = self._local_downloads
        try:
            await bring(source, work, local=local, timeout=self._clone_timeout, report=report)
        except OSError as error:
            raise _files_problem(error) from error

    def _config_in(self, folder: Path) -> str | None:
        found = self._find_config(folder)
        return None if found is None else str(found.relative_to(folder))

    async def _undo(
        self, project_id: str, path: Path, memory: dict[str, Any], call: Call, error: BaseException
    ) -> None:
        """Remove what was made, then the row: in this order, so that a kill in between leaves it to the next start."""
        await asyncio.to_thread(remove_made, Path(memory["work"]), path, memory["identity"])
        code = error.code if isinstance(error, Problem) else "cancelled"
        told = {"code": code, "reason": str(error) or "it was cancelled"}
        await self._store.write(lambda c: rows.give_up_making(c, project_id, call, told))


class _Reporter:
    """Tells git's progress as events: each stage, and every few per cent of it."""

    def __init__(self, events: EventLog, project_id: str, call: Call) -> None:
        self._events = events
        self._project_id = project_id
        self._call = call
        self._last = Progress("", -STEP)

    async def report(self, progress: Progress, event_type: str = "project.clone_progress") -> None:
        same = progress.stage == self._last.stage
        if same and progress.percent < min(self._last.percent + STEP, 100):
            return
        if same and progress.percent == self._last.percent:
            return
        self._last = progress
        await self._events.append(
            event_type,
            project_id=self._project_id,
            payload={"stage": progress.stage, "percent": progress.percent},
            actor=self._call.actor,
            request_id=self._call.request_id,
        )


def remove_made(work: Path, path: Path, made: tuple[int, int] | list[int] | None) -> None:
    """Remove the workplace, and the finished directory if it is the one that was made there."""
    remove_tree(work)
    if made is not None and identity(path) == tuple(made):
        remove_tree(path)


async def _succeeded(reserving: asyncio.Future[None]) -> bool:
    """Whether the name was reserved; waits for the answer when the caller was cancelled before it came."""
    await asyncio.wait([reserving])
    return not reserving.cancelled() and reserving.exception() is None


def _must_be_free(path: Path) -> None:
    try:
        taken = path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir())))
    except OSError as error:
        raise _files_problem(error) from error
    if taken:
        raise DirectoryNotEmpty(f"{path} exists already and is not empty.")


def _put_in_place(work: Path, path: Path) -> None:
    """Rename; an empty directory gives way, anything else stops it."""
    try:
        work.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise DirectoryNotEmpty(f"{path} exists already and is not empty.") from error
        raise _files_problem(error) from error


def _files_problem(error: OSError) -> Problem:
    where = error.filename or "the files"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"There is no space left for {where}.")
    return FilesNotMade(f"{where}: {error.strerror or error}.")
