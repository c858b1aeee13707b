"""Fetch, pull and push. None of them leaves anything half done: what a pull began and cannot finish is aborted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Literal

from att.event.redact import hide
from att.git import branches, change, names
from att.git.errors import (
    BranchMissing,
    DirtyTree,
    Diverged,
    GitFailed,
    LeaseLost,
    MergeConflict,
    NoCommits,
    NotFastForward,
    NoUpstream,
    PushRejected,
)
from att.git.models import Fetched, FetchRemote, MovedRef, PullBranch, Pulled, PushBranch, Pushed
from att.git.remote import Allowed, Patience, Remote, find, patiently, talk, usual
from att.git.repository import Repository
from att.git.said import problem_of
from att.problems import Problem

Result = Literal["up_to_date", "created", "updated", "forced"]
GiveRemote = Callable[[], Awaitable[bool]]
"""Make a remote for the repository; whether there is one now."""
Brought = Literal["up_to_date", "fast_forward", "merged", "rebased"]
_FETCH = ("fetch", "--quiet", "--no-recurse-submodules", "--no-auto-maintenance")


async def fetch(repository: Repository, ask: FetchRemote, allowed: Allowed, patience: Patience) -> Fetched:
    """What the remote has, into `refs/remotes`; which refs moved."""
    remote = await find(repository, ask.remote, allowed)
    before = await _refs(repository)
    words = (*_FETCH, *(["--prune"] if ask.prune else []), "--end-of-options", remote.name)
    _, attempts = await patiently(patience, lambda: talk(repository, remote, *words), also_broken_off=True)
    after = await _refs(repository)
    moved = [
        MovedRef(ref=ref, old=before.get(ref), new=after.get(ref))
        for ref in sorted(before.keys() | after.keys())
        if before.get(ref) != after.get(ref)
    ]
    return Fetched(remote=remote.name, updated=moved, attempts=attempts)


async def _refs(repository: Repository) -> dict[str, str]:
    done = await repository.run("for-each-ref", "--format=%(objectname) %(refname)")
    pairs = (line.split(" ", 1) for line in done.lines)
    return {ref: commit for commit, ref in pairs}


async def pull(repository: Repository, ask: PullBranch, allowed: Allowed, patience: Patience) -> Pulled:
    """Fetch the branch and bring the current one up to it."""
    branch = await branches.current(repository)
    repository.must_be_at_rest()
    remote = await find(repository, ask.remote, allowed)
    theirs = await _their_branch(repository, ask.branch, branch, remote)
    tracking = f"refs/remotes/{remote.name}/{theirs}"
    words = (*_FETCH, "--end-of-options", remote.name, f"+refs/heads/{theirs}:{tracking}")
    _, attempts = await patiently(patience, lambda: talk(repository, remote, *words), also_broken_off=True)
    tip = await repository.commit_of(tracking)
    before = await repository.head()
    result, count = await _bring_up(repository, ask.mode, before, tip, f"{remote.name}/{theirs}")
    return Pulled(
        remote=remote.name,
        remote_branch=theirs,
        branch=branch,
        result=result,
        before=before,
        after=await repository.commit_of("HEAD"),
        commits=count,
        attempts=attempts,
    )


async def _their_branch(repository: Repository, wanted: str | None, branch: str, remote: Remote) -> str:
    if wanted is not None:
        return names.branch(wanted, field="branch")
    merge = await repository.ask("config", "--get", f"branch.{branch}.merge")
    own = await repository.ask("config", "--get", f"branch.{branch}.remote")
    name = (merge or "").removeprefix("refs/heads/")
    if own != remote.name or not names.is_branch(name):
        raise NoUpstream(f"{branch!r} follows no branch of {remote.name!r}.")
    return name


async def _bring_up(
    repository: Repository, mode: str, before: str | None, tip: str, what: str
) -> tuple[Brought, int]:
    """What was done, and how many commits came."""
    if before is None:
        await repository.run("merge", "--ff-only", "--quiet", "--no-verify", tip)
        return "fast_forward", await _count(repository, tip)
    behind, ahead = await _count(repository, tip, before), await _count(repository, before, tip)
    if behind == 0:
        return "up_to_date", 0
    if ahead == 0:
        await repository.run("merge", "--ff-only", "--quiet", "--no-verify", tip)
        return "fast_forward", behind
    if mode == "ff_only":
        raise Diverged(
            f"{ahead} commits here and {behind} there are not on the other side.", ahead=ahead, behind=behind
        )
    await _must_be_clean(repository)
    if mode == "merge":
        message = f"Merge remote-tracking branch '{what}'"
        words = ("merge", "--quiet", "--no-edit", "--no-verify", "--no-ff", "--no-stat", "-m", message, tip)
        await _or_abort(repository, "merge", *words)
        return "merged", behind
    steps = ("rebase", "--quiet", "--no-verify", "--no-autostash", "--no-stat", "--empty=drop", tip)
    await _or_abort(repository, "rebase", *steps)
    return "rebased", behind


async def _count(repository: Repository, tip: str, without: str | None = None) -> int:
    words = ["rev-list", "--count", tip, *([f"^{without}"] if without else [])]
    return int((await repository.run(*words)).text)


async def _must_be_clean(repository: Repository) -> None:
    done = await repository.run(
        "status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames"
    )
    files = [entry[3:].decode("utf-8", "backslashreplace") for entry in done.out.split(b"\0") if entry]
    if files:
        raise DirtyTree(f"{len(files)} files have changes that are not committed.", files=files[:100])


async def _or_abort(repository: Repository, kind: str, *words: str) -> None:
    """Merge or rebase wholly, or leave everything as it was."""
    try:
        await repository.run(*words, timeout=300)
    except BaseException as error:
        files = await asyncio.shield(_abort(repository, kind))
        if files and isinstance(error, Exception):
            raise MergeConflict(f"{len(files)} files were changed on both sides.", files=files) from error
        raise


async def _abort(repository: Repository, kind: str) -> list[str]:
    """The files that were in conflict."""
    files = await change.conflicts(repository)
    if repository.under_way() is not None:
        await repository.run(kind, "--abort", timeout=300)
    return files


async def push(
    repository: Repository, ask: PushBranch, allowed: Allowed, patience: Patience, give_remote: GiveRemote
) -> Pushed:
    """Bring the remote's branch to the local one, and let the local one follow it when it follows none yet.

    `give_remote` is asked when the repository has no remote at all.
    """
    branch = names.branch(ask.branch, field="branch") if ask.branch else await branches.current(repository)
    theirs = names.branch(ask.remote_branch, field="remote_branch") if ask.remote_branch else branch
    commit = await repository.has(branch)
    if commit is None and await repository.branch() == branch:
        raise NoCommits(f"The branch {branch!r} has no commit yet.")
    if commit is None:
        raise BranchMissing(f"There is no branch {branch!r}.")
    known = (await repository.run("remote")).lines
    made = not known and ask.remote in (None, "origin") and await give_remote()
    remote = await find(repository, ask.remote, allowed, push=True)
    words = ["push", "--porcelain", "--no-verify", "--recurse-submodules=no", "--no-follow-tags"]
    if ask.force_with_lease:
        seen = await repository.ask(
            "rev-parse", "--verify", "--quiet", f"refs/remotes/{remote.name}/{theirs}"
        )
        words.append(f"--force-with-lease=refs/heads/{theirs}:{seen or ''}")
    words += ["--set-upstream"] if await _is_to_follow(repository, ask, branch, theirs, remote) else []
    words += ["--end-of-options", remote.name, f"refs/heads/{branch}:refs/heads/{theirs}"]
    result, attempts = await patiently(
        patience, lambda: _push_once(repository, remote, words), also_broken_off=False
    )
    return Pushed(
        remote=remote.name,
        branch=branch,
        remote_branch=theirs,
        commit=commit,
        result=result,
        upstream=await _followed(repository, branch),
        remote_made=made,
        attempts=attempts,
    )


async def _is_to_follow(
    repository: Repository, ask: PushBranch, branch: str, theirs: str, remote: Remote
) -> bool:
    """Whether the branch follows the remote's from now on: as asked, else when it follows none and this is the usual place."""
    if ask.set_upstream is not None:
        return ask.set_upstream
    if theirs != branch or await repository.ask("config", "--get", f"branch.{branch}.merge"):
        return False
    return remote.name == await usual(repository, (await repository.run("remote")).lines)


async def _followed(repository: Repository, branch: str) -> str | None:
    found = await repository.ask("for-each-ref", "--format=%(upstream:lstrip=2)", f"refs/heads/{branch}")
    return found or None


async def _push_once(repository: Repository, remote: Remote, words: list[str]) -> Result:
    """What became of it: git tells it in a line for the branch, also when the remote does not take it."""
    done = await talk(repository, remote, *words, check=False)
    found = re.search(r"^([ +*=!])\trefs/heads/\S+\t(.*)", done.text, re.MULTILINE)
    if done.code == 0:
        return _RESULTS.get(found[1] if found else "", "updated")
    if found is not None and found[1] == "!":
        raise _rejected(hide(found[2]), done.err)
    failed = GitFailed(f"git push said: {done.err[-600:]}", git_code=done.code, err=done.err)
    raise problem_of(failed)


_RESULTS: dict[str, Result] = {"=": "up_to_date", "*": "created", "+": "forced"}


def _rejected(why: str, said: str) -> Problem:
    """The typed problem of a push that the remote did not take."""
    remote = " ".join(line for line in said.splitlines() if line.startswith("remote:"))[:600]
    told = f"The remote says: {why} {remote}".strip()
    if "[remote rejected]" in why:
        return PushRejected(told)
    if "stale info" in why:
        return LeaseLost(told)
    if "non-fast-forward" in why or "fetch first" in why:
        return NotFastForward(told)
    return PushRejected(told)
