"""What is asked and answered about releases."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from att.release.record import State
from att.store.times import Timestamp

ReleaseName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$",
        description="The id of a release, or `current`, `previous`, `staged`, `installed`.",
        examples=["20261121T010203Z-0a1b2c3d4e"],
    ),
]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ListReleases(_Ask):
    """Which releases there are, the newest first."""

    cursor: str | None = Field(default=None, max_length=128)
    limit: int = Field(default=100, ge=1, le=1000)


class AskRelease(_Ask):
    release_id: ReleaseName
    verify: bool = Field(default=False, description="Compare the files with the digest that was recorded.")


class StageRelease(_Ask):
    """Make a release from a source of ATT."""

    source: str = Field(
        min_length=1,
        max_length=4096,
        description="Absolute path of ATT's source on the daemon's machine, or a commit, branch or tag of its repository.",
        examples=["main"],
        json_schema_extra={"format": "path-or-name"},
    )
    repository: str | None = Field(
        default=None,
        max_length=4096,
        description="Path of the clone that the commit is taken from; else the one that ATT itself came from.",
        json_schema_extra={"format": "path"},
    )


class CancelStaging(_Ask):
    release_id: ReleaseName


class SwitchRelease(_Ask):
    release_id: ReleaseName
    force: bool = Field(default=False, description="Also to a release that has failed before.")


class RollBack(_Ask):
    """Go back to the good release before the current one."""


class ReleaseRow(BaseModel):
    """One release of ATT itself, in short. `roles`: current, previous, staged; running is the one that answers."""

    id: str
    state: State
    roles: list[str] = []
    version: str | None = None
    commit: str | None = None
    built_at: Timestamp | None = None
    reason: str | None = None


class Release(ReleaseRow):
    """One release of ATT itself.

    `phase`, `progress` and `error` tell of its making while it is made, else of the last switch to it.
    """

    source: str | None = None
    digest: str | None = None
    python: str | None = Field(default=None, description="Version of Python in its environment.")
    intact: bool | None = Field(
        default=None, description="Whether its files are as they were made; when asked."
    )
    phase: str | None = None
    progress: float | None = None
    error: str | None = None
    lines: list[str] = []


class ReleasePage(BaseModel):
    """The newest first. `rung`: normal, or safe and last when no release stands."""

    releases: list[ReleaseRow]
    next_cursor: str | None = None
    rung: str | None = None
