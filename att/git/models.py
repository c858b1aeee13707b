"""What is asked and answered about a project's repository."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from att.store.times import Timestamp

Path = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]
Revision = Annotated[str, Field(min_length=1, max_length=1024)]
BranchName = Annotated[str, Field(max_length=1024)]
RemoteName = Annotated[str, Field(min_length=1, max_length=256)]
UnderWay = Literal["merge", "rebase", "cherry-pick", "revert", "bisect"]
Change = Literal["added", "modified", "deleted", "renamed", "copied", "type_changed", "unmerged", "unknown"]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: str


class AskGitStatus(Asked):
    """`untracked`: each file, whole directories in one, or none. At most `limit` entries of each kind."""

    untracked: Literal["all", "normal", "no"] = "all"
    limit: int = Field(default=1000, ge=1, le=10_000)


class ChangedFile(BaseModel):
    path: str
    change: Change
    old_path: str | None = None


class ConflictedFile(BaseModel):
    path: str
    conflict: str


class GitStatus(BaseModel):
    """`ahead` and `behind` count commits against the upstream; null without one. `truncated`: there are more entries."""

    project_id: str
    branch: str | None
    commit: str | None
    detached: bool
    upstream: str | None
    ahead: int | None
    behind: int | None
    clean: bool
    in_progress: UnderWay | None
    staged: list[ChangedFile]
    unstaged: list[ChangedFile]
    untracked: list[str]
    conflicts: list[ConflictedFile]
    truncated: bool


class ReadLog(Asked):
    """The commits that `revision` (HEAD) reaches and `base` does not, newest first; only those that touch `path`."""

    revision: Revision | None = Field(default=None, description="Where to begin; absent: HEAD.")
    base: Revision | None = Field(default=None, description="Leave out what this one reaches.")
    path: Path | None = Field(default=None, description="Only commits that touch it.")
    cursor: str | None = Field(default=None, max_length=256)
    limit: int = Field(default=50, ge=1, le=1000)


class Commit(BaseModel):
    id: str
    parents: list[str]
    author_name: str
    author_email: str
    authored_at: Timestamp
    committer_name: str
    committer_email: str
    committed_at: Timestamp
    subject: str
    message: str


class CommitPage(BaseModel):
    commits: list[Commit]
    next_cursor: str | None


class ReadDiff(Asked):
    """Without revisions: what is not staged, or what is (`staged`). With `from`: from there to the working tree, or to `to`."""

    staged: bool = Field(default=False, description="What is staged, in place of what is not.")
    from_revision: Revision | None = Field(default=None, description="Compare from here.")
    to_revision: Revision | None = Field(
        default=None, description="Compare up to here; absent: the working tree."
    )
    path: list[Path] = Field(default_factory=list, max_length=200, description="Only these.")
    context: int = Field(default=3, ge=0, le=1000, description="Lines around each change.")
    stat_only: bool = Field(default=False, description="Counts alone, without the diff.")
    max_bytes: int = Field(default=1_000_000, ge=1, le=8_000_000, description="Of the diff, at the most.")


class FileDiff(ChangedFile):
    """Counts are null for a binary file."""

    insertions: int | None = None
    deletions: int | None = None
    binary: bool = False


class GitDiff(BaseModel):
    """`truncated`: the text was cut at `max_bytes`; `files` are all."""

    files: list[FileDiff]
    insertions: int
    deletions: int
    diff: str
    truncated: bool


class ListBranches(Asked):
    kind: Literal["local", "remote", "all"] = "all"
    cursor: str | None = Field(default=None, max_length=2048)
    limit: int = Field(default=100, ge=1, le=1000)


class Branch(BaseModel):
    """`name` is that of a local branch, or remote/branch. `gone`: the upstream is no more."""

    name: str
    remote: bool
    current: bool
    commit: str
    subject: str
    author_name: str
    committed_at: Timestamp
    upstream: str | None
    ahead: int | None
    behind: int | None
    gone: bool


class BranchPage(BaseModel):
    current: str | None
    branches: list[Branch]
    next_cursor: str | None


class InitRepository(Asked):
    branch: BranchName = Field(default="main", description="The first branch.")


class AddFiles(Asked):
    """Stage these paths as they are (deleted ones too), or everything that changed (`all`). `force`: ignored ones too."""

    path: list[Path] = Field(default_factory=list, max_length=1000, description="Relative to the project.")
    all: bool = Field(default=False, description="Everything that changed.")
    force: bool = Field(default=False, description="Ignored ones too.")


class MakeCommit(Asked):
    """What is staged; with `all`, every change of a tracked file; with `path`, these paths as they are and nothing else.

    `amend` replaces the last commit, and keeps its message if none is given."""

    message: str | None = Field(
        default=None, max_length=1_000_000, description="Needed, unless it amends the last commit."
    )
    all: bool = Field(default=False, description="Every change of a tracked file.")
    path: list[Path] = Field(
        default_factory=list, max_length=1000, description="These as they are, and nothing else."
    )
    author: str | None = Field(default=None, max_length=512, description="`Name <mail>`, when it is another.")
    allow_empty: bool = Field(default=False, description="Also when nothing changed.")
    amend: bool = Field(default=False, description="Replace the last commit.")


class CommitMade(BaseModel):
    branch: str | None
    commit: Commit


class ChangeBranch(Asked):
    """`create` (at `start`, or HEAD; `switch` to it as well), `switch`, `delete` (`force`: with commits that are nowhere else),
    or `rename` (to `new_name`)."""

    name: BranchName
    action: Literal["create", "switch", "delete", "rename"] = "create"
    start: Revision | None = Field(default=None, description="Where a new one begins; absent: HEAD.")
    new_name: BranchName | None = Field(default=None, description="What it is renamed to.")
    switch: bool = Field(default=False, description="Switch to the new one as well.")
    force: bool = Field(default=False, description="Delete it also when its commits are nowhere else.")


class BranchChanged(BaseModel):
    """`commit` is where the branch is, or was when it was deleted; `current` the branch that HEAD is on now."""

    action: Literal["create", "switch", "delete", "rename"]
    name: str
    commit: str
    current: str | None


class ListRemotes(Asked):
    pass


class Remote(BaseModel):
    """`url` without credentials; `push_url` when pushes go elsewhere. `refused`: why ATT does not talk to it."""

    name: str
    url: str
    push_url: str | None
    refused: str | None


class RemoteList(BaseModel):
    remotes: list[Remote]


class AddRemote(Asked):
    """The URL as for a clone, or the path of a repository on this machine below an allowed root; no credentials in it."""

    name: RemoteName = Field(description="Such as `origin`.")
    remote_url: str = Field(min_length=1, max_length=4096, description="Where it is, without credentials.")


class RemoveRemote(Asked):
    name: RemoteName


class RemoteRemoved(BaseModel):
    name: str
    url: str


class FetchRemote(Asked):
    remote: RemoteName | None = Field(default=None, description="Absent: that of the branch, or `origin`.")
    prune: bool = Field(default=False, description="Forget branches that the remote has no more.")


class MovedRef(BaseModel):
    ref: str
    old: str | None
    new: str | None


class Fetched(BaseModel):
    """`attempts`: how often the remote was asked, since it could not be reached."""

    remote: str
    updated: list[MovedRef]
    attempts: int


class PullBranch(Asked):
    remote: RemoteName | None = Field(default=None, description="Absent: that of the branch, or `origin`.")
    branch: BranchName | None = Field(
        default=None,
        description="The remote's branch to take; absent: the one that the current branch follows.",
    )
    mode: Literal["ff_only", "merge", "rebase"] = "ff_only"


class Pulled(BaseModel):
    """`commits`: how many came from the remote."""

    remote: str
    remote_branch: str
    branch: str
    result: Literal["up_to_date", "fast_forward", "merged", "rebased"]
    before: str | None
    after: str
    commits: int
    attempts: int


class PushBranch(Asked):
    """`force_with_lease`: replace the remote's branch, if it is still where it was seen last."""

    remote: RemoteName | None = Field(default=None, description="Absent: that of the branch, or `origin`.")
    branch: BranchName | None = Field(default=None, description="Absent: the current one.")
    remote_branch: BranchName | None = Field(default=None, description="Its name there; absent: the same.")
    set_upstream: bool | None = Field(
        default=None,
        description="Let the branch follow that one from now on; absent: if it follows none yet, and it is the usual one.",
    )
    force_with_lease: bool = Field(
        default=False, description="Replace the remote's branch, if it is still where it was seen last."
    )


class Pushed(BaseModel):
    """`upstream`: what the branch follows now. `remote_made`: the project had no remote, and the local forge made this one."""

    remote: str
    branch: str
    remote_branch: str
    commit: str
    result: Literal["up_to_date", "created", "updated", "forced"]
    upstream: str | None
    remote_made: bool
    attempts: int
