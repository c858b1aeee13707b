"""What can be asked of the deploy room: the contract's `deploy.*`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Call, Effect, Room
from att.deploy import errors
from att.deploy.models import (
    AskDeploy,
    AskHistory,
    BuildArtefact,
    DeployPage,
    DeployStatus,
    RollBack,
    RunDeploy,
)
from att.problems import ProjectNotFound
from att.project.errors import DirectoryMissing
from att.runtime.errors import SafeMode
from att.workflow.errors import RunsStopping
from att.workflow.models import Run

if TYPE_CHECKING:
    from att.deploy.deploys import Deploys

room = Room("deploy", errors=(ProjectNotFound,))
BEGINS = (errors.DeployUnderWay, DirectoryMissing, RunsStopping)


@room.operation(
    "POST",
    "/projects/{project_id}/deploy/build",
    effect=Effect.WRITE,
    status=202,
    errors=(*BEGINS, errors.DockerUnavailable),
    progress="workflow.status",
)
async def build(ask: BuildArtefact, call: Call, deploys: Deploys) -> Run:
    """Make an immutable artefact of the project: its files, its own environment, checked.

    Answers with the run that does it. Its problem tells what was wrong: an invalid config, an environment that cannot be built,
    `revision_not_found`, `artefact_too_large`. The same content again is answered with the artefact that is there.

    With `image` an image is made of it too, which runs the same files with the same packages: `docker_unavailable` without an
    engine, `image_failed` in the run when that goes wrong; the artefact is there nevertheless.
    """
    return await deploys.build(ask, call)


@room.operation(
    "POST",
    "/projects/{project_id}/deploy/run",
    effect=Effect.WRITE,
    status=202,
    errors=(*BEGINS, errors.NoArtefact, errors.ArtefactNotFound, errors.AlreadyDeployed, SafeMode),
    progress="workflow.status",
)
async def run(ask: RunDeploy, call: Call, deploys: Deploys) -> Run:
    """Switch the app to an artefact, and back by itself when it does not get healthy.

    With `serve = "socket"` the new version starts beside the old one and takes no connection before it is healthy; no request
    fails. Otherwise the old one is stopped first. The run's problem is `deploy_failed` when it went back.

    The run ends with the switch; until `watched_until` the version is under watch. If its runtime fails, a probe finds it ill or it
    dies too often within that time, ATT goes back to the good version before by itself. `[deploy]` of att.toml sets how long.
    """
    return await deploys.run(ask, call)


@room.operation(
    "POST",
    "/projects/{project_id}/deploy/rollback",
    effect=Effect.WRITE,
    status=202,
    errors=(
        *BEGINS,
        errors.NoPreviousVersion,
        errors.ArtefactNotFound,
        errors.NotGood,
        errors.AlreadyDeployed,
        SafeMode,
    ),
    progress="workflow.status",
)
async def rollback(ask: RollBack, call: Call, deploys: Deploys) -> Run:
    """Go back to the good version before, or to any that was healthy. What is gone back to is not under watch."""
    return await deploys.rollback(ask, call)


@room.operation("GET", "/projects/{project_id}/deploy/status", effect=Effect.READ)
async def status(ask: AskDeploy, deploys: Deploys) -> DeployStatus:
    """What is deployed, what runs, where a rollback goes to, and which artefacts there are."""
    return await deploys.status(ask.project_id)


@room.operation("GET", "/projects/{project_id}/deploy/history", effect=Effect.READ)
async def history(ask: AskHistory, deploys: Deploys) -> DeployPage:
    """All deploys and rollbacks, the newest first."""
    return await deploys.history(ask)
