"""The service of the forge: which forge keeps a project's pull requests, and what all of them share.

GitHub is loaded with the first project that needs it. One client for the daemon's life: its cache of ETags and what it
knows of GitHub's limits serve all projects.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from att import plain
from att.catalogue import Call
from att.event.log import EventLog
from att.git.forge import ci, work
from att.git.forge.bare import Shelf
from att.git.forge.checks import Checks, Found
from att.git.forge.errors import ForgeTokenMissing
from att.git.forge.interface import Forge
from att.git.forge.local import Local
from att.git.forge.remote import Kind, Repository, choose
from att.problems import Problem
from att.project.errors import FilesNotRemoved
from att.project.models import Project
from att.project.projects import Projects
from att.runtime.errors import SecretMissing
from att.runtime.secrets import resolve
from att.store.store import Store
from att.store.tables import projects

if TYPE_CHECKING:
    from att.git.forge.client import Client
    from att.git.forge.github import Logs

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class ForgeOptions:
    """What the daemon's settings say. `token` may be a reference."""

    kind: Kind = "auto"
    github_url: str = "https://api.github.com"
    token: str = ""
    parallel: int = 1


class Forges:
    def __init__(
        self,
        store: Store,
        events: EventLog,
        projects: Projects,
        *,
        home: Path,
        roots: tuple[Path, ...],
        environ: Mapping[str, str],
        options: ForgeOptions = ForgeOptions(),
    ) -> None:
        self._store = store
        self._events = events
        self._projects = projects
        self._home = home
        self._environ = environ
        self._options = options
        self._shelf = Shelf(home, roots)
        self._locks: dict[str, asyncio.Lock] = {}
        self._client: Client | None = None
        self._logs: Logs | None = None
        self.checks = Checks(store, home, environ, self._where, parallel=options.parallel)

    async def open(self) -> None:
        """To be called once at start."""
        self._projects.before_delete.append(self._before_delete)
        self._projects.after_delete.append(self._after_delete)
        await self._clear_shelf()
        await self.checks.open()

    def leave(self) -> None:
        """The daemon is about to leave."""
        self.checks.leave()

    async def aclose(self) -> None:
        await self.checks.aclose()
        if self._client is not None:
            await self._client.aclose()

    async def of(self, project_id: str) -> Forge:
        """The forge of a project."""
        project = await self._projects.get(project_id)
        folder = await self._projects.path(project_id)
        await asyncio.to_thread(work.require_repository, folder)
        remote = await work.origin(folder)
        settings = await asyncio.to_thread(_settings, folder)
        repository = choose(settings.git.forge or self._options.kind, remote, self._options.github_url)
        if repository is not None:
            return await self._github(repository, project_id, folder)
        return self._local(project, remote)

    async def give_remote(self, project_id: str, call: Call) -> bool:
        """Make the local forge's repository the remote of a project that has none; False when GitHub is the forge."""
        project = await self._projects.get(project_id)
        settings = await asyncio.to_thread(_settings, Path(project.path))
        if (settings.git.forge or self._options.kind) == "github":
            return False
        async with self._locks.setdefault(project_id, asyncio.Lock()):
            bare, folder = await self._shelf.make(project, None), Path(project.path)
            await self._shelf.follow(
                bare, folder, await work.tips(folder)
            )  # it may have been its remote before
        await self._adopted(project_id, bare.folder, call)
        return True

    async def _adopted(self, project_id: str, bare: Path, call: Call) -> None:
        """Tell that it is the project's `origin` from now on."""
        await self._projects.set_git_remote(project_id, str(bare))
        await self._events.append(
            "git.remote",
            project_id=project_id,
            payload={"action": "added", "name": "origin", "url": str(bare)},
            actor=call.actor,
            request_id=call.request_id,
        )

    def _local(self, project: Project, remote: str | None) -> Local:
        lock = self._locks.setdefault(project.id, asyncio.Lock())
        return Local(project, remote, self._store, self._shelf, self.checks, lock, self._adopted)

    async def _github(self, repository: Repository, project_id: str, folder: Path) -> Forge:
        from att.git.forge.client import Client
        from att.git.forge.github import GitHub, Logs

        if self._client is None:
            token = await asyncio.to_thread(self._token)
            self._client = self._client or Client(self._options.github_url, token)
            self._logs = Logs()
        logs = self._logs if self._logs is not None else Logs()
        return GitHub(self._client, repository, project_id, folder, self._events, logs)

    def _token(self) -> str | None:
        try:
            found = resolve({"github_token": self._options.token}, self._environ, self._home)["github_token"]
        except SecretMissing as problem:
            raise ForgeTokenMissing(f"{problem.detail}.") from None
        return found.strip() or None

    async def _where(self, project_id: str) -> Found | None:
        """Where the checks of a project work; None when there is no such place (any more)."""
        try:
            project = await self._projects.get(project_id)
            folder = await self._projects.path(project_id)
            bare = await self._shelf.find(project, await work.origin(folder))
        except Problem:
            return None
        return None if bare is None else Found(folder, bare)

    async def _before_delete(self, project: Project) -> None:
        await self.checks.stop_project(project.id)
        self._locks.pop(project.id, None)

    async def _after_delete(self, project: Project, files_removed: bool) -> None:
        """What is the remote of the project's files goes with them."""
        if files_removed and not await asyncio.to_thread(
            self._shelf.clear, lambda path: path == Path(project.path)
        ):
            raise FilesNotRemoved(
                f"The project is deleted, but not all below {self._home / 'forge'} that was its."
            )

    async def _clear_shelf(self) -> None:
        """What a daemon left that died while it deleted a project: of folders that ATT made, neither there nor known any more."""
        known = await self._store.read(lambda c: set(c.execute(select(projects.c.path)).scalars()))
        made = (self._home / "projects").resolve()

        def gone(path: Path) -> bool:
            return path.parent == made and str(path) not in known and not os.path.lexists(path)

        await asyncio.to_thread(self._shelf.clear, gone)


def _settings(folder: Path) -> ci.ForgeSettings:
    """Those of the project as it stands."""
    try:
        text = plain.content(folder / ci.FILE, _LARGEST).decode("utf-8", "replace")
    except OSError:
        return ci.ForgeSettings()
    return ci.parse(text)
