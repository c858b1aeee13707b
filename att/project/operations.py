"""What can be asked about projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Call, Chunks, Effect, Room, Stream
from att.problems import BadCursor, ProjectNotFound
from att.project import errors
from att.project.models import (
    CreateProject,
    DeletedProject,
    DeleteProject,
    DownloadProject,
    ExportedProject,
    ExportProject,
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


_DOWNLOAD = (
    errors.InvalidName,
    errors.ProjectExists,
    errors.DirectoryRegistered,
    errors.DirectoryNotEmpty,
    errors.PathNotFound,
    errors.PathOutsideRoots,
    errors.DownloadUrlRefused,
    errors.AddressRefused,
    errors.DownloadFailed,
    errors.DownloadTimedOut,
    errors.NotAnArchive,
    errors.ArchiveRefused,
    errors.ArchiveTooLarge,
    errors.CreationCancelled,
    errors.FilesNotMade,
    DiskFull,
)


@room.operation(
    "POST",
    "/projects/download",
    effect=Effect.WRITE,
    status=201,
    errors=_DOWNLOAD,
    positional=("archive_url",),
)
async def download(ask: DownloadProject, call: Call, projects: Projects) -> Project:
    """Make a project from an archive, by its URL or as a file."""
    return await projects.download(ask, call)


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
    errors=(ProjectNotFound, errors.FilesNotRemoved),
)
async def delete(ask: DeleteProject, call: Call, projects: Projects) -> DeletedProject:
    """Stop a project's app and forget the project; its files are removed if ATT made them, unless they are to be kept."""
    return await projects.delete(ask.project_id, call, keep_files=ask.keep_files)


async def _pieces(ask: ExportProject, projects: Projects) -> Chunks:
    from att.project.export import export as pieces

    folder = await projects.path(ask.project_id)
    return pieces(folder, ask.project_id, kind=ask.format, git=ask.git, ignored=ask.ignored)


@room.operation(
    "GET",
    "/projects/{project_id}/archive",
    effect=Effect.READ,
    errors=(ProjectNotFound, errors.DirectoryMissing, errors.ExportTooLarge),
    streams=(
        Stream("application/gzip", _pieces, suffix=".tar.gz"),
        Stream("application/zip", _pieces, suffix=".zip"),
    ),
)
async def export(ask: ExportProject, projects: Projects) -> ExportedProject:
    """Make an archive of a project's files; as JSON only a small one."""
    from att.project.export import whole

    return await whole(await _pieces(ask, projects), ask)
