"""Where projects may lie: below an allowed root, after every link is resolved, and never on top of ATT's own state."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from att.project.errors import PathForbidden, PathNotFound, PathOutsideRoots

MAKING = ".making-"
DELETING = ".deleting-"


class Places:
    """`home/projects`, where ATT makes projects, and the other roots that the user has named."""

    def __init__(self, home: Path, roots: Sequence[Path]) -> None:
        self._home = Path(os.path.realpath(home))
        self.projects = Path(os.path.realpath(home / "projects"))
        self._roots = (self.projects, *(Path(os.path.realpath(root.expanduser())) for root in roots))

    def admitted(self, wanted: str, *, field: str = "path") -> Path:
        """The directory behind `wanted`, with all links resolved, if a project may be there."""
        path = self.resolved(wanted, field=field)
        if path.parent == path or path == Path(os.path.realpath(Path.home())):
            raise PathForbidden(f"{path} cannot be a project.")
        below_projects = path != self.projects and path.is_relative_to(self.projects)
        if self._home.is_relative_to(path) or (path.is_relative_to(self._home) and not below_projects):
            raise PathForbidden(f"{path} holds ATT's own state, or is part of it.")
        if below_projects and path.relative_to(self.projects).parts[0].startswith((MAKING, DELETING)):
            raise PathForbidden(f"{path} is being made or deleted by ATT.")
        self.within_roots(path)
        if not path.is_dir():
            raise _not_found(f"There is no directory {path}.", field)
        return path

    def resolved(self, wanted: str, *, field: str) -> Path:
        """`wanted` without links; it need not exist."""
        if "\0" in wanted or not wanted.strip():
            raise _not_found("This is no path.", field)
        try:
            path = Path(wanted).expanduser()
            if not path.is_absolute():
                raise _not_found(f"{wanted!r} is not an absolute path.", field)
            return Path(os.path.realpath(path))
        except (OSError, RuntimeError, ValueError) as error:
            raise _not_found(f"{wanted!r} cannot be looked up: {error}.", field) from error

    def within_roots(self, path: Path) -> None:
        """`PathOutsideRoots` unless the (resolved) path lies in a root."""
        forge = path.parent == self._home / "forge" and path.suffix == ".git"  # ATT's own remote of a project
        if not forge and not any(path.is_relative_to(root) for root in self._roots):
            raise PathOutsideRoots(
                f"{path} lies in none of the allowed roots.", roots=[str(r) for r in self._roots]
            )

    def new(self, project_id: str) -> Path:
        """Where ATT makes the project of this id."""
        return self.projects / project_id

    def workplace(self, prefix: str, project_id: str) -> Path:
        """A directory beside it that nobody else uses: to make it in, or to take it away to."""
        return self.projects / f"{prefix}{project_id}-{secrets.token_hex(6)}"

    def is_workplace(self, path: Path) -> bool:
        return path.parent == self.projects and path.name.startswith((MAKING, DELETING))

    def leftovers(self) -> list[Path]:
        """All workplaces that are there."""
        if not self.projects.is_dir():
            return []
        return [path for path in self.projects.iterdir() if self.is_workplace(path)]


def _not_found(detail: str, field: str) -> PathNotFound:
    return PathNotFound(detail, fields=[{"field": field, "message": detail}])
