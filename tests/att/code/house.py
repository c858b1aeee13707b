"""A project with files, and the code room as a door asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from att.catalogue import Catalogue
from att.code.files import Code
from att.code.operations import room
from att.problems import Problem
from tests.att.rooms import CALL, Rooms, rooms


@dataclass
class House:
    rooms: Rooms
    folder: Path
    code: Code

    async def ask(self, name: str, /, **given: Any) -> Any:
        """One operation; a problem that it does not declare is a fault."""
        bound = Catalogue([room]).bind({Code: self.code})[f"code.{name}"]
        try:
            ask = bound.operation.input.model_validate({"project_id": "app", **given})
            return await bound.run(ask, CALL)
        except Problem as problem:
            assert {kind.code for kind in bound.operation.errors} | {"invalid_request"} >= {problem.code}
            raise

    def has(self, files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


@asynccontextmanager
async def house(home: Path) -> AsyncIterator[House]:
    async with rooms(home) as made:
        folder = home / "projects" / "app"
        folder.mkdir(parents=True)
        from att.project.models import CreateProject

        await made.projects.create(CreateProject(name="app", path=str(folder)), CALL)
        yield House(made, folder, Code(made.projects, made.events))
