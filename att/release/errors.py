"""What can go wrong with releases. Each leaves the releases that there are as they were."""

from __future__ import annotations

from att.problems import Conflict, InvalidRequest, NotFound, Problem, Unavailable


class NoLauncher(Conflict):
    code, title = "no_launcher", "There is no launcher"
    hint = "Releases are run by the launcher: start ATT with `att up` or as a service, not with `att serve --standalone`."


class ReleaseNotFound(NotFound):
    code, title = "release_not_found", "There is no such release"
    hint = "`att release list` tells which there are."


class SourceNotFound(InvalidRequest):
    code, title = "release_source_not_found", "There is nothing at this source"
    hint = (
        "Give the absolute path of ATT's source on the machine where ATT runs, or a commit of the repository."
    )


class SourceInvalid(InvalidRequest):
    code, title = "release_source_invalid", "This is not the source of ATT"
    hint = "The source needs ATT's own pyproject.toml and requirements.lock (`scripts/lock` writes it)."


class NoRepository(InvalidRequest):
    code, title = "release_repository_unknown", "There is no repository to take the commit from"
    hint = "Name a clone of ATT with `repository`, or give the path of a source instead of a commit."


class GitFailed(Problem):
    code, status, title = "release_git_failed", 422, "git could not give the source"
    hint = "See what git said; try the same by hand on the machine where ATT runs."


class StagingUnderWay(Conflict):
    """Raised with `release_id`."""

    code, title = "release_staging", "A release is being made"
    hint = "Wait for it (`att release status ID`) or end it with `att release cancel ID`."


class NothingToCancel(Conflict):
    code, title = "release_not_staging", "This release is not being made"
    hint = "`att release status ID` tells how it stands."


class StagingFailed(Problem):
    """Raised with `lines`, the last words of what failed."""

    code, status, title = "release_build_failed", 500, "The release could not be made"
    hint = "See the lines of its making; nothing of it was left behind."


class SelfCheckFailed(StagingFailed):
    code, title = "release_self_check_failed", "The release does not come up"
    hint = "Run `python -m att.daemon --self-check` with its source and mend what it says."


class ReleaseFailedBefore(Conflict):
    """Raised with `reason`, what it failed with."""

    code, title = "release_failed_before", "This release has failed before"
    hint = "Stage a mended one; `force` tries this one again all the same."


class ReleaseUnusable(Conflict):
    code, title = "release_unusable", "This release cannot be run"
    hint = "Its environment is gone or damaged: stage the same source again."


class AlreadyCurrent(Conflict):
    code, title = "release_current", "This release is the one that runs"
    hint = "Nothing is to be done."


class SwitchUnderWay(Conflict):
    """Raised with `release_id`."""

    code, title = "release_switching", "A switch is under way"
    hint = "Wait until it is done: `att release status ID` tells."


class SwitchRefused(Conflict):
    code, title = "release_switch_refused", "The launcher does not switch now"
    hint = "See its reason; `att release list` tells how the releases stand."


class NoWayBack(Conflict):
    code, title = "release_no_way_back", "There is no good release to go back to"
    hint = "Make one with `att release stage`, then `att release switch staged`."


class LauncherSilent(Unavailable):
    code, title = "launcher_silent", "The launcher does not answer"
    hint = "Look at its output and at launcher.ndjson in ATT_HOME, then try again."


class RecordUnreadable(Unavailable):
    code, title = "boot_record_unreadable", "The launcher's record cannot be read"
    hint = "The launcher writes boot.json in ATT_HOME anew at its next start."
