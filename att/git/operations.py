"""What can be asked about a project's repository.

The project's directory is the root of its repository (or of a linked worktree of one): a `.git` that lies above, or leads
elsewhere, is refused with a code of its own. `git.branch` counts as a write, deleting included: what goes is a name, and the
answer tells the commit that it stood for. Pull requests and checks are declared in `att.git.forge.operations`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Call, Effect
from att.confine_errors import InvalidPath, PathOutsideProject
from att.git import errors, models
from att.git.forge import operations as forge  # noqa: F401  (it declares the rest of the room)
from att.git.room import room
from att.problems import BadCursor
from att.project.errors import DirectoryMissing
from att.store.errors import DiskFull
from att.workflow.errors import RunBusy

if TYPE_CHECKING:
    from att.git.service import Git

BASIC = (
    DirectoryMissing,
    errors.GitMissing,
    errors.GitFailed,
    errors.GitTimedOut,
    errors.RepositoryElsewhere,
    errors.RepositoryDamaged,
)
"""What every use of git can end in."""
LOOKING = (*BASIC, errors.NotARepository, errors.RepositoryAbove, errors.RemoteRefused)
READING = (*LOOKING, errors.OutputTooLarge)
PATHS = (PathOutsideProject, InvalidPath)
WRITING = (*READING, errors.IndexLocked, DiskFull)
EXCHANGE = (
    *WRITING,
    errors.NoRemote,
    errors.AuthFailed,
    errors.RemoteMissing,
    errors.RemoteUnreachable,
    errors.RemoteBrokeOff,
)
_AT = "/projects/{project_id}/git"
_REMOTES = f"{_AT}/remotes"


@room.operation("GET", f"{_AT}/status", effect=Effect.READ, errors=LOOKING)
async def status(ask: models.AskGitStatus, git: Git) -> models.GitStatus:
    """Show the branch, its upstream, and what is staged, changed, untracked or in conflict."""
    return await git.status(ask)


@room.operation(
    "GET",
    f"{_AT}/log",
    effect=Effect.READ,
    errors=(*READING, *PATHS, BadCursor, errors.UnknownRevision, errors.NoCommits),
)
async def log(ask: models.ReadLog, git: Git) -> models.CommitPage:
    """List the commits of a revision, of a range or of a path, newest first, page by page."""
    return await git.log(ask)


@room.operation(
    "GET",
    f"{_AT}/diff",
    effect=Effect.READ,
    errors=(*READING, *PATHS, errors.UnknownRevision, errors.NoCommits),
)
async def diff(ask: models.ReadDiff, git: Git) -> models.GitDiff:
    """Show what differs, staged or not or between revisions: counts for each file, and a unified diff."""
    return await git.diff(ask)


@room.operation("GET", f"{_AT}/branches", effect=Effect.READ, errors=READING)
async def branches(ask: models.ListBranches, git: Git) -> models.BranchPage:
    """List the branches, local and of remotes, with their upstream and last commit."""
    return await git.branches(ask)


@room.operation(
    "POST",
    f"{_AT}/init",
    effect=Effect.WRITE,
    errors=(
        *BASIC,
        errors.NotARepository,
        errors.RepositoryExists,
        errors.InvalidBranch,
        DiskFull,
    ),
)
async def init(ask: models.InitRepository, git: Git) -> models.GitStatus:
    """Make the project's directory a repository, with nothing committed yet."""
    return await git.init(ask)


@room.operation(
    "POST",
    f"{_AT}/add",
    effect=Effect.WRITE,
    idempotent=True,
    errors=(*WRITING, *PATHS, errors.PathNotInRepository, errors.PathIgnored, RunBusy),
)
async def add(ask: models.AddFiles, git: Git) -> models.GitStatus:
    """Stage paths as they are, deleted ones too, or everything that changed."""
    return await git.add(ask)


@room.operation(
    "POST",
    f"{_AT}/commit",
    effect=Effect.WRITE,
    errors=(
        *WRITING,
        *PATHS,
        errors.PathNotInRepository,
        errors.PathIgnored,
        errors.EmptyMessage,
        errors.InvalidMessage,
        errors.InvalidAuthor,
        errors.NothingStaged,
        errors.NothingToAmend,
        RunBusy,
        errors.MergeConflict,
        errors.MergeInProgress,
    ),
)
async def commit(ask: models.MakeCommit, call: Call, git: Git) -> models.CommitMade:
    """Commit what is staged, every change of tracked files, or some paths. Hooks of the repository do not run."""
    return await git.commit(ask, call)


@room.operation(
    "POST",
    f"{_AT}/branch",
    effect=Effect.WRITE,
    positional=("project_id", "name"),
    errors=(
        *WRITING,
        errors.InvalidBranch,
        errors.BranchExists,
        errors.BranchMissing,
        errors.BranchCheckedOut,
        errors.BranchNotMerged,
        RunBusy,
        errors.UnknownRevision,
        errors.NoCommits,
        errors.DirtyTree,
        errors.MergeInProgress,
    ),
)
async def branch(ask: models.ChangeBranch, call: Call, git: Git) -> models.BranchChanged:
    """Create, switch to, delete or rename a branch. Deleting takes the name; the answer tells its commit."""
    return await git.branch(ask, call)


@room.operation("GET", _REMOTES, effect=Effect.READ, errors=READING, name="git.remote.list")
async def remotes(ask: models.ListRemotes, git: Git) -> models.RemoteList:
    """List the remotes, with their URLs (without credentials) and whether ATT talks to them."""
    return await git.remotes(ask)


@room.operation(
    "POST",
    _REMOTES,
    effect=Effect.WRITE,
    status=201,
    positional=("project_id", "name", "remote_url"),
    errors=(*WRITING, errors.InvalidRemote, errors.RemoteExists, errors.RemoteMissing),
    name="git.remote.add",
)
async def add_remote(ask: models.AddRemote, call: Call, git: Git) -> models.Remote:
    """Give the project a remote to fetch from and push to. Nothing is fetched yet."""
    return await git.add_remote(ask, call)


@room.operation(
    "DELETE",
    _REMOTES + "/{name:.+}",
    effect=Effect.WRITE,
    errors=(*WRITING, errors.NoRemote),
    name="git.remote.remove",
)
async def remove_remote(ask: models.RemoveRemote, call: Call, git: Git) -> models.RemoteRemoved:
    """Forget a remote and what was fetched from it; the repository that it names stays as it is."""
    return await git.remove_remote(ask, call)


@room.operation("POST", f"{_AT}/fetch", effect=Effect.WRITE, idempotent=True, errors=EXCHANGE)
async def fetch(ask: models.FetchRemote, git: Git) -> models.Fetched:
    """Fetch what a remote has, without changing the working tree or a local branch."""
    return await git.fetch(ask)


@room.operation(
    "POST",
    f"{_AT}/pull",
    effect=Effect.WRITE,
    errors=(
        *EXCHANGE,
        errors.RemoteBranchMissing,
        errors.DetachedHead,
        errors.NoUpstream,
        errors.InvalidBranch,
        errors.Diverged,
        RunBusy,
        errors.DirtyTree,
        errors.MergeConflict,
        errors.MergeInProgress,
        errors.UnknownRevision,
    ),
)
async def pull(ask: models.PullBranch, call: Call, git: Git) -> models.Pulled:
    """Fetch the upstream and bring the branch up to it: by fast-forward only, a merge, or a rebase. A conflict changes nothing."""
    return await git.pull(ask, call)


@room.operation(
    "POST",
    f"{_AT}/push",
    effect=Effect.WRITE,
    errors=(
        *EXCHANGE,
        errors.DetachedHead,
        errors.InvalidBranch,
        errors.BranchMissing,
        errors.NoCommits,
        errors.NotFastForward,
        errors.LeaseLost,
        errors.PushRejected,
    ),
)
async def push(ask: models.PushBranch, call: Call, git: Git) -> models.Pushed:
    """Push a branch to a remote; one that follows none follows that from then on. Without any remote, ATT's own forge makes one."""
    return await git.push(ask, call)
