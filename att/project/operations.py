"""What can be asked about projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Call, Effect, Room
from att.problems import BadCursor, ProjectNotFound
from att.project import errors
from att.project.models import (
    CreateProject,
    DeletedProject,
    DeleteProject,
    ListProjects,
    Project,
    ProjectId,
    ProjectPage,
)
from att.store.errors import DiskFull

if TYPE_CHECKING:
    from att.project.projects import Projects

room = Room("project")

_CREATE = (
    errors.InvalidName,
    errors.ProjectExists,
    errors.DirectoryRegistered,
    errors.DirectoryNotEmpty,
    errors.PathNotFound,
    errors.PathOutsideRoots,
    errors.PathForbidden,
    errors.TemplateNotFound,
    errors.CloneUrlRefused,
    errors.CloneFailed,
    errors.CloneUnauthorized,
    errors.RepositoryNotFound,
    errors.BranchNotFound,
    errors.CloneTimedOut,
    errors.CreationCancelled,
    errors.GitMissing,
    errors.FilesNotMade,
    DiskFull,
)


@room.operation("POST", "/projects", effect=Effect.WRITE, status=201, errors=_CREATE, positional=("name",))
async def create(ask: CreateProject, call: Call, projects: Projects) -> Project:
    """Make a project from a template, register a directory, or clone a repository."""
    return await projects.create(ask, call)


@room.operation("GET", "/projects", effect=Effect.READ, errors=(BadCursor,), name="project.list")
async def list_all(ask: ListProjects, projects: Projects) -> ProjectPage:
    """List the projects by id, page by page."""
    return await projects.page(ask.cursor, ask.limit)


@room.operation(
    "GET",
    "/projects/{project_id}",
    effect=Effect.READ,
    errors=(ProjectNotFound,),
    aliases=("project.status",),
)
async def get(ask: ProjectId, projects: Projects) -> Project:
    """Show one project and its status."""
    return await projects.get(ask.project_id)


@room.operation(
    "DELETE",
    "/projects/{project_id}",
    effect=Effect.DESTRUCTIVE,
    errors=(ProjectNotFound, errors.FilesNotRemoved, errors.CreationCancelled),
)
async def delete(ask: DeleteProject, call: Call, projects: Projects) -> DeletedProject:
    """Stop a project's app and forget the project; its files are removed if ATT made them, unless they are to be kept."""
    return await projects.delete(ask.project_id, call, keep_files=ask.keep_files)
