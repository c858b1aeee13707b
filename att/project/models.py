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

    name: str | None = Field(default=None, max_length=256)
    template: str | None = Field(default=None, max_length=64)
    path: str | None = Field(default=None, max_length=4096, json_schema_extra={"format": "path"})
    clone_url: str | None = Field(default=None, max_length=2048)
    branch: str | None = Field(default=None, max_length=256)


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
