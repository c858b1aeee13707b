"""The service of the project room: create, get, list, delete, and the status of each project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from att.catalogue import Call
from att.event.log import EventLog
from att.project.models import CreateProject, DeletedProject, Project, ProjectPage, ProjectStatus
from att.store.store import Store

BeforeDelete = Callable[[Project], Awaitable[None]]


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
    ) -> None:
        """`roots`: allowed beside `home/projects`. `find_config`: the NAT config of a project's directory, if it has one."""
        self.before_delete: list[BeforeDelete] = []

    async def recover(self) -> list[str]:
        """To be called once at start: undo what a killed daemon left half made; the ids."""
        raise NotImplementedError

    async def create(self, wish: CreateProject, call: Call) -> Project:
        raise NotImplementedError

    async def get(self, project_id: str) -> Project:
        """The project; `ProjectNotFound` (404, code `project_not_found`) when there is none."""
        raise NotImplementedError

    async def path(self, project_id: str) -> Path:
        """Its directory; `ProjectDirectoryMissing` when it is gone."""
        raise NotImplementedError

    async def page(self, cursor: str | None = None, limit: int = 100) -> ProjectPage:
        """By id."""
        raise NotImplementedError

    async def set_status(self, project_id: str, status: ProjectStatus) -> Project:
        """Move to `status` if the table of transitions allows it (the same status again changes nothing)."""
        raise NotImplementedError

    async def set_nat_config(self, project_id: str, path: str | None) -> Project:
        """Remember which NAT config the project uses (relative to its directory)."""
        raise NotImplementedError

    async def delete(self, project_id: str, call: Call, *, keep_files: bool = False) -> DeletedProject:
        """Forget the project, after every `before_delete` hook; remove its files if ATT made them and `keep_files` is false."""
        raise NotImplementedError
