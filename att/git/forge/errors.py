"""What can go wrong at a forge, the same at each. Each leaves everything as it was."""

from __future__ import annotations

from att.git import errors as git
from att.problems import Conflict, InvalidRequest, NotFound, Problem, Unavailable
from att.project.errors import DirectoryMissing
from att.store.errors import DiskFull


class NoForge(Conflict):
    """Raised with `remote`."""

    code, title = "no_forge", "The project has no repository at GitHub"
    hint = "Set the remote `origin` to a repository at GitHub, or set `forge` to `local` or `auto`."


class ForgeUnauthorized(Problem):
    code, status, title = "forge_unauthorized", 403, "GitHub does not let ATT do this"
    hint = "Set ATT_GITHUB_TOKEN (or `github_token`) to a token that may read and write the repository."


class ForgeTokenMissing(Problem):
    code, status, title = "forge_token_missing", 503, "The token for GitHub cannot be read"
    hint = "Mend the reference in the setting `github_token`, or give the token in ATT_GITHUB_TOKEN."


class ForgeNotFound(NotFound):
    code, title = "forge_repository_not_found", "GitHub has no such repository"
    hint = "Check the remote `origin`, and whether the token may see the repository."


class ForgeUnreachable(Unavailable):
    code, title = "forge_unreachable", "GitHub cannot be reached"
    hint = "Check the network and the setting `github_url`, then try again."


class ForgeRefused(Conflict):
    code, title = "forge_refused", "GitHub refused this"
    hint = "The reason stands in `detail`."


class RateLimited(Problem):
    """Raised with `retry_at`."""

    code, status, title = "rate_limited", 429, "GitHub wants no more requests for now"
    hint = "Wait until `retry_at`, then try again."


class PullNotFound(NotFound):
    code, title = "pull_not_found", "There is no such pull request"
    hint = "`att git pr list` tells which there are."


class PullExists(Conflict):
    """Raised with `number`."""

    code, title = "pull_exists", "There is an open pull request for this branch"
    hint = "Use the one that is named, or close it first."


class PullNotOpen(Conflict):
    code, title = "pull_not_open", "The pull request is not open"
    hint = "It was merged or closed; make a new one."


class BranchNotOnForge(Conflict):
    """Raised with `branch`."""

    code, title = "branch_not_on_forge", "The forge does not have this branch"
    hint = "Push the branch first (`att git push`)."


class NothingToMerge(Conflict):
    code, title = "nothing_to_merge", "The branch has nothing that the base does not have"
    hint = "Commit and push something to the branch first."


class HeadMoved(Conflict):
    """Raised with `head_sha`."""

    code, title = "head_moved", "The branch has moved since it was looked at"
    hint = "Look at what came, then merge with the new sha."


class ChecksPending(Conflict):
    """Raised with `checks`."""

    code, title = "checks_pending", "Required checks have not finished"
    hint = "Wait for the checks (`att git actions`), then merge."


class ChecksFailed(Conflict):
    """Raised with `checks`."""

    code, title = "checks_failed", "Required checks did not pass"
    hint = "Read the log (`att git actions logs`), mend the branch, push, and merge when the checks pass."


class ReviewRequired(Conflict):
    code, title = "review_required", "An approving review is needed first"
    hint = "Have somebody else than the author approve it (`att git pr review create --verdict approve`)."


class OwnReview(Conflict):
    code, title = "own_review", "Nobody approves or refuses their own pull request"
    hint = "Comment on it, or let somebody else (another token) review it."


class CheckNotFound(NotFound):
    code, title = "check_not_found", "There is no such check"
    hint = "`att git actions` tells which there are."


class CheckNotRunning(Conflict):
    code, title = "check_not_running", "The check has ended"
    hint = "There is nothing to cancel; look at its conclusion."


class CheckRunning(Conflict):
    code, title = "check_running", "The check has not ended"
    hint = "Wait for it, or cancel it first."


class LogGone(NotFound):
    code, title = "check_log_gone", "The log of the check is not kept any more"
    hint = "Run the check again (`att git actions rerun`)."


class InvalidForgeSettings(InvalidRequest):
    code, title = "invalid_forge_settings", "The settings of the forge in att.toml are not valid"
    hint = "Mend the key that is named in att.toml."


ALWAYS = (
    NoForge,
    ForgeUnauthorized,
    ForgeTokenMissing,
    ForgeUnreachable,
    ForgeRefused,
    git.NotARepository,
    git.RepositoryElsewhere,
    git.GitMissing,
    git.GitFailed,
    git.GitTimedOut,
    git.OutputTooLarge,
    DirectoryMissing,
    RateLimited,
    InvalidForgeSettings,
)
"""What each operation of the forge can answer with."""
BRANCHES = (git.RemoteRefused, DiskFull)
"""What those can answer with besides that look at the branches, for which objects and checks are made."""
