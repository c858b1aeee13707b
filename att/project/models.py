"""What a project is, and what is asked and answered about projects."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from att.store.times import Timestamp


class ProjectStatus(StrEnum):
    CREATED = "created"
    CLONED = "cloned"
    RUNNING = "running"
    STOPPED = "stopped"
    ERROR = "error"


class Project(BaseModel):
    """A directory that ATT knows by name."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    path: str
    git_remote: str | None
    nat_config_path: str | None
    status: ProjectStatus
    created_at: Timestamp
    updated_at: Timestamp


class CreateProject(BaseModel):
    """Exactly one of `template`, `path` and `clone_url`.

    The name defaults to that of the directory or repository.
    """

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(
        default=None, max_length=256, description="Absent: that of the directory or repository."
    )
    template: str | None = Field(
        default=None,
        max_length=64,
        description="Make it from this template: `echo`, a sample that needs no model.",
    )
    path: str | None = Field(
        default=None,
        max_length=4096,
        description="Register this directory, below one of the allowed roots; it stays where it is.",
        json_schema_extra={"format": "path"},
    )
    clone_url: str | None = Field(
        default=None,
        max_length=2048,
        description="Clone this: https://, ssh://, HOST:PATH, or a path below an allowed root.",
    )
    branch: str | None = Field(
        default=None, max_length=256, description="Of the repository; absent: its own default branch."
    )


class DownloadProject(BaseModel):
    """An archive (zip, or tar: plain, gz, bz2) by exactly one of `url` and `file`."""

    model_config = ConfigDict(extra="forbid")

    archive_url: str | None = Field(
        default=None, alias="url", max_length=4096, description="http:// or https://"
    )
    file: str | None = Field(
        default=None,
        max_length=4096,
        description="A file below one of the allowed roots, on the machine where ATT runs.",
        json_schema_extra={"format": "path"},
    )
    name: str | None = Field(default=None, max_length=256)
    strip: bool = Field(default=True, description="Leave out a directory at the top that holds all the rest.")


class ArchiveFormat(StrEnum):
    TAR_GZ = "tar.gz"
    ZIP = "zip"


class ExportProject(BaseModel):
    """What goes in: all files but what `.gitignore` leaves out, environments, and `.git`."""

    model_config = ConfigDict(extra="forbid")

    project_id: str
    format: ArchiveFormat = ArchiveFormat.TAR_GZ
    git: bool = Field(default=False, description="Also the repository, without its hooks and config.")
    ignored: bool = Field(
        default=False, description="Also what `.gitignore` leaves out, environments excepted."
    )


class ExportedProject(BaseModel):
    """A small archive in one answer."""

    project_id: str
    file_name: str
    format: ArchiveFormat
    size: int
    sha256: str
    content: str = Field(description="base64")


class ProjectId(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: str


class ListProjects(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(default=None, max_length=256)
    limit: int = Field(default=100, ge=1, le=1000)


class ProjectPage(BaseModel):
    projects: list[Project]
    next_cursor: str | None


class DeleteProject(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: str
    keep_files: bool = False


class DeletedProject(BaseModel):
    project_id: str
    path: str
    files_removed: bool
