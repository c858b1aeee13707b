"""What can go wrong with git. Each leaves the repository as it was."""

from __future__ import annotations

from att.problems import Conflict, Forbidden, InvalidRequest, NotFound, Problem, Unavailable


class GitMissing(Unavailable):
    code, title = "git_missing", "git is not installed"
    hint = "Install git on the machine where ATT runs, then try again."


class GitFailed(Problem):
    """git ended with `git_code`, and said `err` (without secrets)."""

    code, status, title = "git_failed", 422, "git refused"
    hint = "See what git said, and try the same by hand in the project's directory."

    def __init__(self, detail: str, *, git_code: int = 128, err: str = "") -> None:
        super().__init__(detail, git_code=git_code)
        self.git_code = git_code
        self.err = err


class GitTimedOut(Problem):
    code, status, title = "git_timed_out", 422, "git took too long"
    hint = "Try again; when the other side is slow, do it by hand in the project's directory."


class OutputTooLarge(Problem):
    code, status, title = "git_output_too_large", 422, "git's answer is too large"
    hint = "Ask for less: fewer paths, or fewer commits."


class NotARepository(Conflict):
    code, title = "not_a_repository", "The project is not a git repository"
    hint = "Make it one with `att git init`, or register the directory that holds `.git`."


class RepositoryAbove(Conflict):
    code, title = "repository_above", "The repository's root lies above the project"
    hint = "Register the root of the repository as the project, or make this one a repository of its own with `att git init`."


class RepositoryElsewhere(Forbidden):
    code, title = "repository_elsewhere", "The project's `.git` leads to another place"
    hint = "A repository keeps its own `.git` inside of the project, or is a linked worktree that git made."


class RepositoryExists(Conflict):
    code, title = "repository_exists", "The project is a git repository already"
    hint = "Nothing is to be done."


class EmptyMessage(InvalidRequest):
    code, title = "empty_message", "A commit needs a message"
    hint = "Say in a line what the commit does."


class InvalidMessage(InvalidRequest):
    code, title = "invalid_message", "git cannot keep this message"
    hint = "Take out the NUL characters and what Unicode calls non-characters (such as U+FFFF)."


class InvalidAuthor(InvalidRequest):
    code, title = "invalid_author", "This is no author"
    hint = "Write it as `Name <address>`."


class NothingStaged(Conflict):
    code, title = "nothing_staged", "There is nothing to commit"
    hint = "Stage something with `att git add`, commit with `all`, or allow an empty commit."


class NothingToAmend(Conflict):
    code, title = "nothing_to_amend", "There is no commit to amend"
    hint = "Commit without `amend` first."


class NoCommits(Conflict):
    code, title = "no_commits", "The branch has no commit yet"
    hint = "Make a first commit."


class NoRemote(Conflict):
    code, title = "no_remote", "There is no such remote"
    hint = "Add it with `att git remote add PROJECT origin URL`; `att git remote list` tells which there are."


class RemoteExists(Conflict):
    code, title = "remote_exists", "There is a remote of this name"
    hint = "Take another name, or remove that one first with `att git remote remove`."


class InvalidRemote(InvalidRequest):
    code, title = "invalid_remote_name", "This cannot be the name of a remote"
    hint = "Take letters, digits, `-`, `_` and `.`, such as `origin`."


class RemoteRefused(Forbidden):
    code, title = "remote_not_allowed", "This remote is not talked to"
    hint = "Use https://, ssh://, git://, user@host:path, or a repository below one of the allowed roots."


class NoUpstream(Conflict):
    code, title = "no_upstream", "The branch follows no branch of a remote"
    hint = "Name the remote's branch (`att git pull PROJECT --branch NAME`), or push: it follows where it was pushed first."


class InvalidBranch(InvalidRequest):
    code, title = "invalid_branch_name", "This cannot be the name of a branch"
    hint = "No blanks, none of ~^:?*[\\, no `..`, `@{` or `//`, no part that starts with `.` or ends with `.lock`, no `-` in front."


class UnknownRevision(NotFound):
    code, title = "unknown_revision", "There is no such revision"
    hint = "`att git log` and `att git branches` tell which there are."


class BranchExists(Conflict):
    code, title = "branch_exists", "There is a branch of this name"
    hint = "Take another name, or switch to it."


class BranchMissing(NotFound):
    code, title = "branch_missing", "There is no branch of this name"
    hint = "`att git branches` tells which there are."


class BranchCheckedOut(Conflict):
    code, title = "branch_checked_out", "The branch is checked out"
    hint = "Switch to another branch first."


class BranchNotMerged(Conflict):
    code, title = "branch_not_merged", "The branch has commits that are nowhere else"
    hint = "Merge or push it first, or delete it with `force`."


class DetachedHead(Conflict):
    code, title = "detached_head", "HEAD is on no branch"
    hint = "Switch to a branch, or make one from here."


class DirtyTree(Conflict):
    code, title = "dirty_tree", "Changes that are not committed stand in the way"
    hint = "Commit them first, or undo them."


class IndexLocked(Conflict):
    code, title = "repository_locked", "Another git works in this repository"
    hint = "Wait for it. If none runs any more, remove the lock file that is named."


class MergeInProgress(Conflict):
    code, title = "operation_in_progress", "A merge, rebase or the like is not finished"
    hint = "Finish or abort it in the project's directory first."


class MergeConflict(Conflict):
    """Raised with `files`."""

    code, title = "merge_conflict", "Both sides changed the same"
    hint = "Nothing was changed. Merge or rebase the one side upon the other, mend the files that are named, and try again."


class Diverged(Conflict):
    code, title = "diverged", "Both sides have commits that the other lacks"
    hint = "Pull with the mode `merge` or `rebase`."


class NotFastForward(Conflict):
    code, title = "non_fast_forward", "The remote has commits that are not here"
    hint = "Pull first, then push again."


class LeaseLost(NotFastForward):
    code, title = "lease_lost", "The remote's branch is not where it was seen last"
    hint = "Fetch, look at what is new, then push again."


class PushRejected(Conflict):
    code, title = "push_rejected", "The remote does not take this"
    hint = "See what the remote said: it may protect the branch."


class AuthFailed(Problem):
    code, status, title = "git_unauthorized", 422, "The remote asks for credentials"
    hint = "Give git access (ssh key or credential helper) for the user that ATT runs as."


class RemoteMissing(Problem):
    code, status, title = (
        "remote_repository_missing",
        422,
        "The remote has no such repository, or it may not be seen",
    )
    hint = "Check the URL of the remote, and that the user that ATT runs as may read it."


class RemoteBranchMissing(Problem):
    code, status, title = "remote_branch_missing", 422, "The remote has no such branch"
    hint = "`att git branches` tells which there were at the last fetch."


class RemoteUnreachable(Unavailable):
    code, title = "remote_unreachable", "The remote cannot be reached"
    hint = "Check the network and the URL of the remote, then try again."


class PathNotInRepository(InvalidRequest):
    code, title = "path_not_in_repository", "git knows no such file"
    hint = "`att git status` tells what has changed."


class PathIgnored(Conflict):
    code, title = "path_ignored", "The file is ignored"
    hint = "Take it out of .gitignore, or add it with `force`."


class RepositoryDamaged(Unavailable):
    code, title = "repository_damaged", "git cannot read the repository"
    hint = "Run `git fsck` in the project's directory."


class RemoteBrokeOff(Unavailable):
    code, title = "remote_broke_off", "The remote broke off in the middle"
    hint = "Look whether it took what was sent (`att git fetch`), then try again."
