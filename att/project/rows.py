"""Projects in SQL: plain functions for the store. A row whose `making` is set is no project yet, or no more.

`making` is what a daemon that is killed leaves for the next one: {"step": "making" | "deleting", "work":
the workplace beside the project, "identity": [device, inode] of what was made, once it is whole}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from att.catalogue import Call
from att.event.log import record
from att.event.models import Outcome
from att.problems import BadCursor, ProjectNotFound
from att.project.errors import DirectoryRegistered, ProjectExists
from att.project.models import Project, ProjectPage, ProjectStatus
from att.project.names import is_project_id
from att.project.status import moved
from att.store.tables import projects
from att.store.times import now

_COLUMNS = [projects.c[name] for name in Project.model_fields]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A project that is being made or deleted, or was when a daemon died."""

    id: str
    path: Path
    step: str
    work: Path
    identity: tuple[int, int] | None
    owns_files: bool


def reserve(connection: Connection, row: dict[str, Any]) -> None:
    """Take the id and the directory, or say who has them."""
    known = connection.execute(select(projects.c.id, projects.c.path)).all()
    path = Path(row["path"])
    if any(row["id"] == other for other, _ in known):
        raise ProjectExists(f"There is a project {row['id']!r} already.", project_id=row["id"])
    for other, where in known:
        if path == Path(where) or path.is_relative_to(where) or Path(where).is_relative_to(path):
            raise DirectoryRegistered(
                f"{path} and the project {other!r} ({where}) share files.", project_id=other
            )
    moment = now()
    connection.execute(insert(projects).values(**row, created_at=moment, updated_at=moment))


def finish_making(
    connection: Connection,
    project_id: str,
    config: str | None,
    call: Call,
    event_type: str,
    told: dict[str, Any],
) -> Project:
    """The project is whole from here on, and that is told."""
    values = {"making": None, "nat_config_path": config, "updated_at": now()}
    connection.execute(update(projects).where(projects.c.id == project_id).values(**values))
    record(
        connection,
        event_type,
        project_id=project_id,
        payload=told,
        actor=call.actor,
        request_id=call.request_id,
    )
    return get(connection, project_id)


def give_up_making(connection: Connection, project_id: str, call: Call, told: dict[str, Any]) -> None:
    connection.execute(delete(projects).where(projects.c.id == project_id, projects.c.making.is_not(None)))
    record(
        connection,
        "project.create_failed",
        project_id=project_id,
        payload=told,
        actor=call.actor,
        request_id=call.request_id,
        outcome=Outcome.FAILED,
    )


def remember(connection: Connection, project_id: str, making: dict[str, Any] | None) -> None:
    text = None if making is None else json.dumps(making)
    connection.execute(update(projects).where(projects.c.id == project_id).values(making=text))


def get(connection: Connection, project_id: str) -> Project:
    query = select(*_COLUMNS).where(projects.c.id == project_id, projects.c.making.is_(None))
    found = connection.execute(query).one_or_none()
    if found is None:
        raise ProjectNotFound(f"There is no project {project_id[:64]!r}.")
    return _project(found)


def page(connection: Connection, cursor: str | None, limit: int) -> ProjectPage:
    """By id; the cursor is the last id of the page before."""
    query = select(*_COLUMNS).where(projects.c.making.is_(None)).order_by(projects.c.id).limit(limit + 1)
    if cursor is not None:
        if not is_project_id(cursor):
            raise BadCursor(
                f"{cursor[:64]!r} is no cursor of the list of projects.",
                fields=[{"field": "cursor", "message": "not a cursor"}],
            )
        query = query.where(projects.c.id > cursor)
    found = [_project(row) for row in connection.execute(query)]
    return ProjectPage(
        projects=found[:limit], next_cursor=found[limit - 1].id if len(found) > limit else None
    )


def set_status(connection: Connection, project_id: str, status: ProjectStatus) -> Project:
    project = get(connection, project_id)
    if moved(project.status, status) is project.status:
        return project
    return _change(connection, project_id, status=status.value)


def set_nat_config(connection: Connection, project_id: str, path: str | None) -> Project:
    if get(connection, project_id).nat_config_path == path:
        return get(connection, project_id)
    return _change(connection, project_id, nat_config_path=path)


def set_git_remote(connection: Connection, project_id: str, url: str | None) -> Project:
    return _change(connection, project_id, git_remote=url)


def mark_deleting(connection: Connection, project_id: str, work: Path) -> bool:
    """Nobody sees the project from here on; whether ATT made its files."""
    get(connection, project_id)
    remember(connection, project_id, {"step": "deleting", "work": str(work), "identity": None})
    owns = connection.execute(select(projects.c.owns_files).where(projects.c.id == project_id)).scalar_one()
    return bool(owns)


def finish_deleting(connection: Connection, project_id: str, call: Call, told: dict[str, Any]) -> None:
    connection.execute(delete(projects).where(projects.c.id == project_id))
    record(
        connection,
        "project.deleted",
        project_id=project_id,
        payload=told,
        actor=call.actor,
        request_id=call.request_id,
    )


def unfinished(connection: Connection) -> list[Unfinished]:
    rows = connection.execute(
        select(projects.c.id, projects.c.path, projects.c.making, projects.c.owns_files).where(
            projects.c.making.is_not(None)
        )
    )
    return [_unfinished(row.id, row.path, json.loads(row.making), row.owns_files) for row in rows]


def _unfinished(project_id: str, path: str, making: dict[str, Any], owns_files: bool) -> Unfinished:
    device_and_inode = making.get("identity")
    return Unfinished(
        id=project_id,
        path=Path(path),
        step=making["step"],
        work=Path(making["work"]),
        identity=tuple(device_and_inode) if device_and_inode else None,
        owns_files=owns_files,
    )


def _change(connection: Connection, project_id: str, **values: Any) -> Project:
    connection.execute(update(projects).where(projects.c.id == project_id).values(**values, updated_at=now()))
    return get(connection, project_id)


def _project(row: Any) -> Project:
    return Project.model_construct(**{**row._mapping, "status": ProjectStatus(row.status)})
