"""Branches: listed, made, switched to, renamed and deleted.

Deleting takes away a name, not the commits: the answer and the event tell which commit it was at, and a branch whose commits
are nowhere else is only deleted by `force`. So it counts as a write, not as a destruction.
"""

from __future__ import annotations

import re

from att.git import names
from att.git.errors import (
    BranchCheckedOut,
    BranchExists,
    BranchMissing,
    BranchNotMerged,
    DetachedHead,
    DirtyTree,
    GitFailed,
    NoCommits,
)
from att.git.log import moment
from att.git.models import Branch, BranchChanged, BranchPage, ChangeBranch, ListBranches
from att.git.repository import Repository
from att.problems import InvalidRequest

_FORMAT = "%00".join(
    (
        "%(refname)",
        "%(objectname)",
        "%(HEAD)",
        "%(symref)",
        "%(upstream)",
        "%(upstream:track,nobracket)",
        "%(committerdate:unix)",
        "%(authorname)",
        "%(contents:subject)",
        "",
    )
)
_WHERE = {
    "local": ("refs/heads/",),
    "remote": ("refs/remotes/",),
    "all": ("refs/heads/", "refs/remotes/"),
}


def parse(answer: bytes) -> list[Branch]:
    """The branches of `for-each-ref` in our format."""
    lines = answer.decode("utf-8", "replace").split("\0\n")
    return [branch for line in lines if line and (branch := _branch(*line.split("\0"))) is not None]


def _branch(
    ref: str,
    commit: str,
    head: str,
    symref: str,
    upstream: str,
    track: str,
    at: str,
    author: str,
    subject: str,
) -> Branch | None:
    if symref:  # refs/remotes/origin/HEAD only names another one
        return None
    ahead, behind = (re.search(rf"{word} (\d+)", track) for word in ("ahead", "behind"))
    known = bool(upstream) and track != "gone"
    return Branch(
        name=_short(ref),
        remote=ref.startswith("refs/remotes/"),
        current=head == "*",
        commit=commit,
        subject=subject,
        author_name=author,
        committed_at=moment(at),
        upstream=_short(upstream) if upstream else None,
        ahead=(int(ahead[1]) if ahead else 0) if known else None,
        behind=(int(behind[1]) if behind else 0) if known else None,
        gone=track == "gone",
    )


def _short(ref: str) -> str:
    return re.sub(r"^refs/(?:heads|remotes)/", "", ref)


async def branches(repository: Repository, ask: ListBranches) -> BranchPage:
    """By name, the local ones first. A cursor is the last name of the page before."""
    done = await repository.run("for-each-ref", "--format=%(refname)", "--end-of-options", *_WHERE[ask.kind])
    refs = done.out.decode("utf-8", "surrogateescape").split("\n")[:-1]
    rest = [ref for ref in refs if ask.cursor is None or ref > ask.cursor]
    page = rest[: ask.limit]
    found: list[Branch] = []
    if page:
        told = await repository.run("for-each-ref", f"--format={_FORMAT}", "--end-of-options", *page)
        wanted = {_short(ref) for ref in page}  # a name also stands for what lies below it
        found = [branch for branch in parse(told.out) if branch.name in wanted]
    return BranchPage(
        current=await repository.branch(),
        branches=found,
        next_cursor=page[-1] if len(rest) > len(page) else None,
    )


async def change(repository: Repository, ask: ChangeBranch) -> BranchChanged:
    """Do what is asked to the branch."""
    names.branch(ask.name)
    _must_fit(ask)
    commit = await _DO[ask.action](repository, ask)
    name = ask.new_name if ask.action == "rename" and ask.new_name else ask.name
    return BranchChanged(action=ask.action, name=name, commit=commit, current=await repository.branch())


def _must_fit(ask: ChangeBranch) -> None:
    only = {"start": "create", "switch": "create", "new_name": "rename", "force": "delete"}
    wrong = [name for name, action in only.items() if getattr(ask, name) and ask.action != action]
    if ask.action == "rename" and not ask.new_name:
        wrong.append("new_name")
    if wrong:
        fields = [{"field": name, "message": f"goes with `{only[name]}`, and only there"} for name in wrong]
        raise InvalidRequest(f"{', '.join(wrong)} does not go with `{ask.action}`.", fields=fields)


async def _create(repository: Repository, ask: ChangeBranch) -> str:
    if await repository.has(ask.name) is not None:
        raise BranchExists(f"There is a branch {ask.name!r}.")
    start = await repository.commit_of(ask.start or "HEAD")
    if ask.switch:
        repository.must_be_at_rest()
    await repository.run("branch", "--no-track", "--end-of-options", ask.name, start)
    if ask.switch:
        try:
            await _go(repository, ask.name)
        except BaseException:
            await repository.run("update-ref", "-d", f"refs/heads/{ask.name}", start, check=False)
            raise
    return start


async def _switch(repository: Repository, ask: ChangeBranch) -> str:
    commit = await _known(repository, ask.name)
    repository.must_be_at_rest()
    await _go(repository, ask.name)
    return commit


async def _go(repository: Repository, name: str) -> None:
    """Switch to a local branch; no name of a remote's branch or of a file is guessed."""
    try:
        await repository.run(
            "switch", "--quiet", "--no-guess", "--no-recurse-submodules", "--end-of-options", name
        )
    except GitFailed as failed:
        if "already checked out" in failed.err or "is already used by" in failed.err:
            raise BranchCheckedOut(f"{name!r} is checked out in another worktree.") from failed
        if "resolve your current index" in failed.err:
            raise DirtyTree("There are conflicts that are not resolved.") from failed
        raise


async def _delete(repository: Repository, ask: ChangeBranch) -> str:
    commit = await _known(repository, ask.name)
    if await repository.branch() == ask.name:
        raise BranchCheckedOut(f"HEAD is on {ask.name!r}.")
    if not ask.force and not await _is_elsewhere(repository, ask.name, commit):
        raise BranchNotMerged(f"{ask.name!r} has commits that no other branch has.", commit=commit)
    try:
        await repository.run("branch", "--delete", "--force", "--quiet", "--end-of-options", ask.name)
    except GitFailed as failed:
        if "checked out at" in failed.err or "used by worktree" in failed.err:
            raise BranchCheckedOut(f"{ask.name!r} is checked out in another worktree.") from failed
        raise
    return commit


async def _is_elsewhere(repository: Repository, name: str, commit: str) -> bool:
    """Whether another branch, here or at a remote, or a tag reaches the commit."""
    done = await repository.run(
        "for-each-ref",
        "--format=%(refname)",
        f"--contains={commit}",
        "refs/heads/",
        "refs/remotes/",
        "refs/tags/",
    )
    return any(ref != f"refs/heads/{name}" for ref in done.lines)


async def _rename(repository: Repository, ask: ChangeBranch) -> str:
    new = names.branch(ask.new_name or "", field="new_name")
    commit = await _known(repository, ask.name)
    if await repository.has(new) is not None:
        raise BranchExists(f"There is a branch {new!r}.")
    await repository.run("branch", "--move", "--end-of-options", ask.name, new)
    return commit


async def _known(repository: Repository, name: str) -> str:
    commit = await repository.has(name)
    if commit is not None:
        return commit
    if await repository.branch() == name:
        raise NoCommits(f"The branch {name!r} has no commit yet.")
    raise BranchMissing(f"There is no branch {name[:100]!r}.")


async def current(repository: Repository) -> str:
    """The branch that HEAD is on."""
    name = await repository.branch()
    if name is None:
        raise DetachedHead("HEAD is on no branch.")
    return name


_DO = {"create": _create, "switch": _switch, "delete": _delete, "rename": _rename}
