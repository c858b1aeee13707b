"""What is asked of the deploy room and what it answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from att.store.times import Timestamp
from att.workflow.models import Wait

ArtefactId = Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{1,64}$")]
DeployState = Literal["under_way", "succeeded", "failed", "rolled_back", "cancelled", "interrupted"]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: Annotated[str, Field(min_length=1, max_length=64)]


class BuildArtefact(_Ask):
    revision: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[^-\s\x00-\x1f][^\s\x00-\x1f]*$",
            description="A commit, branch or tag; absent: the files as they are now.",
        ),
    ] = None
    rebuild: Annotated[
        bool, Field(description="Build anew even when there is an artefact of the same content.")
    ] = False
    image: Annotated[
        bool, Field(description="Make an image of it too, by Docker or Podman, where there is an engine.")
    ] = False
    wait: Wait = 0


class _Health(_Ask):
    health_timeout: Annotated[
        float, Field(gt=0, le=3600, description="Seconds in which the version has to get healthy.")
    ] = 120
    health_retries: Annotated[
        int, Field(ge=0, le=10, description="How often one that did not is started once more.")
    ] = 0


class RunDeploy(_Health):
    artefact_id: Annotated[ArtefactId | None, Field(description="Absent: the newest.")] = None
    build: Annotated[bool, Field(description="Build first, when the files are not built as they are.")] = (
        False
    )
    wait: Wait = 0


class RollBack(_Health):
    artefact_id: Annotated[
        ArtefactId | None, Field(description="Any that was healthy; absent: the good one before the present.")
    ] = None
    wait: Wait = 0


class AskDeploy(_Ask):
    pass


class AskHistory(_Ask):
    cursor: Annotated[str | None, Field(max_length=64, description="From an earlier answer.")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Artefact(BaseModel):
    """A version of a project that can be run. `good`: it was healthy once."""

    artefact_id: str
    project_id: str
    digest: str
    created_at: Timestamp
    revision: str | None = None
    changed: bool = False
    files: int
    size: int
    environment: str | None = None
    nat_version: str | None = None
    packages: int = 0
    good: bool = False
    image: Annotated[str | None, Field(description="Its image's name, when one was made.")] = None


class Deploy(BaseModel):
    """One change of the version: from which to which, how it ended and why. `how`: beside the old one, or in its place."""

    deploy_id: str
    project_id: str
    run_id: str | None = None
    kind: Literal["deploy", "rollback"]
    artefact_id: str
    previous_artefact_id: str | None
    state: DeployState
    reason: str | None
    actor: str
    started_at: Timestamp
    ended_at: Timestamp | None
    watch: Annotated[
        Literal["on", "passed", "ended", "failed"] | None,
        Field(
            description="Of the watch after the switch: `ended` by a start, stop, restart or another deploy, `failed`: gone "
            "back from, with the reason. Absent: there is none."
        ),
    ] = None
    watched_until: Timestamp | None = None


class DeployStatus(BaseModel):
    """What is deployed. `source`: what a start runs out of now; `previous`: where a rollback goes to."""

    project_id: str
    artefact_id: str | None
    source: Literal["deployed", "files"]
    running: str | None = Field(description="The artefact that the app runs out of at this moment.")
    previous: str | None
    under_way: str | None = Field(description="The run of the deploy or build that is under way.")
    watched_until: Timestamp | None = Field(
        description="Until then the version is under watch: if it turns ill, ATT goes back by itself. Absent: it is final."
    )
    last: Deploy | None
    artefacts: list[Artefact]


class DeployPage(BaseModel):
    """The newest first."""

    deploys: list[Deploy]
    next_cursor: str | None
