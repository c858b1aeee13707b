"""What can go wrong while a version is built, brought out or taken back, each with its own code. Decides nothing."""

from __future__ import annotations

from att.problems import Conflict, InvalidRequest, NotFound, Problem


class NoArtefact(Conflict):
    code, title = "no_artefact", "Nothing has been built"
    hint = "Build first: `att deploy build PROJECT`, or run with `build`."


class NoPreviousVersion(Conflict):
    code, title = "no_previous_version", "There is no earlier good version"
    hint = "`att deploy history PROJECT` tells what was deployed; name any good artefact."


class ArtefactNotFound(NotFound):
    code, title = "artefact_not_found", "There is no such artefact"
    hint = "`att deploy status PROJECT` lists those that are kept; build again what is not."


class ArtefactBroken(Problem):
    """Raised with `artefact_id` and what is wrong with it."""

    code, status, title = "artefact_broken", 409, "The artefact is not what was built"
    hint = "Its files were changed or removed; build again."


class NotGood(Conflict):
    code, title = "version_not_good", "This version was never healthy"
    hint = "Go back to one that was; `att deploy history PROJECT` tells which."


class AlreadyDeployed(Conflict):
    code, title = "already_deployed", "This version runs already"
    hint = "There is nothing to change; use runtime.restart to begin it anew."


class DeployUnderWay(Conflict):
    code, title = "deploy_under_way", "A deploy is under way"
    hint = "Wait for it, or cancel it: `att workflow cancel PROJECT RUN`."


class DeployFailed(Problem):
    """The new version did not get healthy; `reason`, `lines` and whether the one before is back (`rolled_back`)."""

    code, status, title = "deploy_failed", 422, "The new version did not get healthy"
    hint = (
        "The detail is the app's own error; its log tells more. Nothing is lost: the version before serves."
    )


class DeployStopped(Conflict):
    code, title = "deploy_stopped", "The app was stopped while the new version was tried"
    hint = "Deploy again when it may run."


class RevisionNotFound(InvalidRequest):
    code, title = "revision_not_found", "There is no such revision"
    hint = "Name a commit, branch or tag of the project's repository."


class NoRepository(Problem):
    code, status, title = "no_repository", 422, "The project is no git repository"
    hint = "Build without `revision`: then the files as they are now are taken."


class TooLarge(Problem):
    code, status, title = "artefact_too_large", 422, "The project is too large for an artefact"
    hint = "Keep data, models and results outside of the project's directory."


class ArtefactFolderUnusable(Problem):
    code, status, title = "artefact_folder_unusable", 503, "The folder for artefacts cannot be used"
    hint = "Check the owner and the permissions of ATT_HOME/artefacts."


class DockerUnavailable(Problem):
    code, status, title = "docker_unavailable", 409, "There is no engine for images"
    hint = "Install Docker or Podman and start it, or build without `image`: ATT itself needs neither."


class ImageFailed(Problem):
    """Raised with the last `lines` of the engine."""

    code, status, title = "image_failed", 422, "The image could not be built"
    hint = "The lines are the engine's own; the artefact is there, and can be deployed without an image."
