"""The service of the project room: create, get, list, delete, and the status of each project.

One daemon owns a home, and every change of a project goes through here; so what was read once is kept in
memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from att.catalogue import Call
from att.event.log import EventLog
from att.problems import InvalidRequest, ProjectNotFound
from att.project import rows, templates
from att.project.clone_url import CloneUrl, parse, valid_branch
from att.project.download_source import Archive, checked_url, name_in
from att.project.errors import (
    CreationCancelled,
    DirectoryMissing,
    FilesNotRemoved,
    PathNotFound,
    ProjectExists,
    RepositoryNotFound,
)
from att.project.files import is_itself, remove_tree
from att.project.making import Maker, Order, remove_made
from att.project.models import (
    CreateProject,
    DeletedProject,
    DownloadProject,
    Project,
    ProjectPage,
    ProjectStatus,
)
from att.project.names import project_id as id_of
from att.project.names import sanitised
from att.project.places import DELETING, Places
from att.store.store import Store

T = TypeVar("T")
BeforeDelete = Callable[[Project], Awaitable[None]]
AfterDelete = Callable[[Project, bool], Awaitable[None]]
"""Told whether the files were removed."""
AT_START = Call(request_id="start", actor="att", door="daemon")


class Projects:
    def __init__(
        self,
        store: Store,
        events: EventLog,
        *,
        home: Path,
        roots: Sequence[Path] = (),
        find_config: Callable[[Path], Path | None] = lambda _: None,
        clone_timeout: float = 600.0,
        template_folder: Path = templates.FOLDER,
        fetch_local: bool = False,
    ) -> None:
        """`roots`: allowed beside `home/projects`.

        `find_config`: the NAT config in a project's directory, if any. `fetch_local`: archives may come from local addresses.
        """
        self.before_delete: list[BeforeDelete] = []
        self.after_delete: list[AfterDelete] = []
        self._store = store
        self._places = Places(home, roots)
        self._maker = Maker(store, events, self._places, find_config, clone_timeout, fetch_local)
        self._find_config = find_config
        self._templates = template_folder
        self._being_made: dict[str, asyncio.Task[Project]] = {}
        self._being_deleted: set[str] = set()
        self._known: dict[str, Project] = {}
        self._changes = 0

    async def recover(self) -> list[str]:
        """To be called once at start: undo or finish what a killed daemon left half done; the ids."""
        left = await self._store.read(rows.unfinished)
        for project in left:
            if project.step == "deleting":
                await self._finish_deletion(project)
                continue
            if self._places.is_workplace(project.work):
                await asyncio.to_thread(remove_made, project.work, project.path, project.identity)
            told = {"code": "interrupted", "reason": "the daemon ended while the files were being made"}
            await self._store.write(lambda c, i=project.id, t=told: rows.give_up_making(c, i, AT_START, t))  # type: ignore[misc]
        for path in await asyncio.to_thread(self._places.leftovers):
            await asyncio.to_thread(remove_tree, path)
        return [project.id for project in left]

    async def create(self, wish: CreateProject, call: Call) -> Project:
        """Make, register or clone a project."""
        given = [key for key in ("template", "path", "clone_url") if getattr(wish, key) is not None]
        if len(given) != 1:
            raise _one_source(given)
        if wish.branch is not None and wish.clone_url is None:
            raise InvalidRequest(
                "Only a clone has a branch.", fields=[{"field": "branch", "message": "needs clone_url"}]
            )
        if wish.path is not None:
            return await self._register(wish.path, wish.name, call)
        return await self._make(await self._order(wish), call)

    async def download(self, wish: DownloadProject, call: Call) -> Project:
        """Make a project from an archive."""
        given = {"url": wish.archive_url, "file": wish.file}
        if (wish.archive_url is None) == (wish.file is None):
            raise _one_source([key for key, value in given.items() if value is not None], ("url", "file"))
        if wish.archive_url is not None:
            source = Archive(checked_url(wish.archive_url), None, wish.strip)
        else:
            source = Archive(None, await asyncio.to_thread(self._archive_file, wish.file or ""), wish.strip)
        called = wish.name if wish.name is not None else name_in(wish.archive_url or wish.file or "")
        name = sanitised(called)
        return await self._make(Order(id_of(name), name, source), call)

    def _archive_file(self, wanted: str) -> Path:
        path = self._places.resolved(wanted, field="file")
        self._places.within_roots(path)
        if not path.is_file():
            detail = f"There is no file {path}."
            raise PathNotFound(detail, fields=[{"field": "file", "message": detail}])
        return path

    async def _make(self, order: Order, call: Call) -> Project:
        if order.id in self._being_made:
            raise ProjectExists(f"A project {order.id!r} is being made.", project_id=order.id)
        task = asyncio.create_task(self._maker.make(order, call), name=f"make {order.id}")
        self._being_made[order.id] = task
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # by `delete`, not with us
                raise CreationCancelled(f"Making {order.id!r} was cancelled.") from None
            task.cancel()
            await asyncio.wait([task])
            raise
        finally:
            del self._being_made[order.id]

    async def get(self, project_id: str) -> Project:
        """The project; `ProjectNotFound` (404, code `project_not_found`) when there is none, or it is being deleted."""
        if project_id in self._being_deleted:
            raise ProjectNotFound(f"The project {project_id!r} is being deleted.")
        known = self._known.get(project_id)
        if known is not None:
            return known
        before = self._changes
        project = await self._store.read(lambda connection: rows.get(connection, project_id))
        if before == self._changes:  # nothing was changed since it was read
            self._known[project_id] = project
        return project

    async def path(self, project_id: str) -> Path:
        """Its directory; `DirectoryMissing` when it is gone."""
        return _directory((await self.get(project_id)).path)

    async def page(self, cursor: str | None = None, limit: int = 100) -> ProjectPage:
        """By id."""
        return await self._store.read(lambda connection: rows.page(connection, cursor, limit))

    async def set_status(self, project_id: str, status: ProjectStatus) -> Project:
        """Move to `status` if the table of transitions allows it (the same status again changes nothing)."""
        return await self._change(project_id, lambda c: rows.set_status(c, project_id, status))

    async def set_nat_config(self, project_id: str, path: str | None) -> Project:
        """Remember which NAT config the project uses (relative to its directory)."""
        return await self._change(project_id, lambda c: rows.set_nat_config(c, project_id, path))

    async def set_git_remote(self, project_id: str, url: str | None) -> Project:
        """Remember where the project's `origin` is (without credentials)."""
        return await self._change(project_id, lambda c: rows.set_git_remote(c, project_id, url))

    async def delete(self, project_id: str, call: Call, *, keep_files: bool = False) -> DeletedProject:
        """Forget the project, after every `before_delete` hook and before every `after_delete` one, and remove its files.

        Those are left alone with `keep_files`, or when ATT did not make them. A project that is still being
        made is cancelled. From here on nobody else is given the project, so that nothing begins in it any more.
        """
        if project_id in self._being_made and await self._cancelled(project_id):
            path = str(self._places.new(project_id))
            return DeletedProject(project_id=project_id, path=path, files_removed=True)
        project = await self.get(project_id)
        if project_id in self._being_deleted:  # by somebody who asked at the same time
            raise ProjectNotFound(f"The project {project_id!r} is being deleted.")
        self._being_deleted.add(project_id)
        try:
            answer = await self._delete(project, call, keep_files=keep_files)
            for after in self.after_delete:
                await after(project, answer.files_removed)
            return answer
        finally:
            self._being_deleted.discard(project_id)

    async def _delete(self, project: Project, call: Call, *, keep_files: bool) -> DeletedProject:
        project_id = project.id
        for hook in self.before_delete:
            await hook(project)
        work = self._places.workplace(DELETING, project_id)
        if keep_files:
            return await self._forget(project, call, removed=False)
        owned = await self._change(project_id, lambda c: rows.mark_deleting(c, project_id, work))
        try:
            removed = owned and await asyncio.to_thread(self._take_away, Path(project.path), work)
        except OSError as error:
            await self._change(project_id, lambda c: rows.remember(c, project_id, None))
            raise FilesNotRemoved(f"{project.path}: {error.strerror}. The project stays as it is.") from error
        answer = await self._forget(project, call, removed=removed)
        if removed and not await asyncio.to_thread(remove_tree, work):
            raise FilesNotRemoved(f"The project is deleted, but {work} could not be removed wholly.")
        return answer

    async def _change(self, project_id: str, work: Callable[[Connection], T]) -> T:
        self._forget_known(project_id)
        try:
            return await self._store.write(work)
        finally:
            self._forget_known(project_id)

    def _forget_known(self, project_id: str) -> None:
        self._changes += 1
        self._known.pop(project_id, None)

    async def _forget(self, project: Project, call: Call, *, removed: bool) -> DeletedProject:
        told = {"name": project.name, "path": project.path, "files_removed": removed}
        await self._change(project.id, lambda c: rows.finish_deleting(c, project.id, call, told))
        return DeletedProject(project_id=project.id, path=project.path, files_removed=removed)

    async def _cancelled(self, project_id: str) -> bool:
        """End the making of a project; False when it was finished before that."""
        task = self._being_made[project_id]
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled() or task.exception() is not None

    def _take_away(self, path: Path, work: Path) -> bool:
        """Move the project's directory out of sight; False when it is not (or no more) the one that ATT made."""
        if path.parent != self._places.projects or not is_itself(path):
            return False
        path.rename(work)
        return True

    async def _finish_deletion(self, project: rows.Unfinished) -> None:
        removed = False
        if self._places.is_workplace(project.work):
            removed = await asyncio.to_thread(self._remove_rest, project)
        told = {"name": project.id, "path": str(project.path), "files_removed": removed}
        await self._store.write(lambda c: rows.finish_deleting(c, project.id, AT_START, told))

    def _remove_rest(self, project: rows.Unfinished) -> bool:
        if project.owns_files and not os.path.lexists(project.work):
            self._take_away(project.path, project.work)
        return remove_tree(project.work)

    async def _order(self, wish: CreateProject) -> Order:
        if wish.template is not None:
            template = await asyncio.to_thread(templates.find, wish.template, self._templates)
            name = sanitised(wish.name if wish.name is not None else wish.template)
            return Order(id_of(name), name, template)
        url = parse(wish.clone_url or "")
        name = sanitised(wish.name if wish.name is not None else url.repository)
        branch = None if wish.branch is None else valid_branch(wish.branch)
        return Order(id_of(name), name, await asyncio.to_thread(self.allowed, url), branch)

    def allowed(self, url: CloneUrl) -> CloneUrl:
        """The URL; a local one with all links resolved and within the roots."""
        if url.local is None:
            return url
        path = self._places.resolved(url.local, field="clone_url")
        self._places.within_roots(path)
        if not path.exists():
            raise RepositoryNotFound(f"There is no repository at {path}.")
        return CloneUrl(url=str(path), local=str(path))

    async def _register(self, wanted: str, wished: str | None, call: Call) -> Project:
        """A directory that is there already becomes a project; nothing in it is touched."""
        path = await asyncio.to_thread(self._places.admitted, wanted)
        name = sanitised(wished if wished is not None else path.name)
        config = await asyncio.to_thread(self._find_config, path)
        row = {"id": id_of(name), "name": name, "path": str(path), "origin": "path", "status": "created"}
        told = {"name": name, "path": str(path)}
        relative = None if config is None else str(config.relative_to(path))

        def work(connection: Connection) -> Project:
            rows.reserve(connection, row)
            return rows.finish_making(connection, row["id"], relative, call, "project.created", told)

        return await self._change(row["id"], work)


def _directory(path: str) -> Path:
    if not os.path.isdir(path):  # noqa: PTH112  (asked often: no Path is made for nothing)
        raise DirectoryMissing(f"{path} is gone.")
    return Path(path)


def _one_source(given: list[str], of: tuple[str, ...] = ("template", "path", "clone_url")) -> InvalidRequest:
    message = f"exactly one of {', '.join(of[:-1])} and {of[-1]} is needed"
    fields = [{"field": field, "message": message} for field in given or of]
    return InvalidRequest(f"A project needs {message.removesuffix(' is needed')}.", fields=fields)
