"""What the forge does in repositories, by git's plumbing: no work tree is touched, and a branch moves only from where it was seen.

Merging is done in the objects alone (`merge-tree --write-tree`). Rebasing takes each commit's change by merging trees upon
commits made for that, so that the base of the merge is the commit's own parent; what becomes empty is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from att.git.errors import DetachedHead, GitFailed, NotARepository, RepositoryElsewhere
from att.git.forge.said import git, told
from att.git.place import LeadsElsewhere, find
from att.problems import Problem

_FORMAT = "%an%x00%ae%x00%ad%x00%B"


async def current_branch(folder: Path) -> str:
    """The branch that is checked out."""
    done = await git(folder, "symbolic-ref", "--quiet", "--short", "HEAD", check=False)
    if done.code != 0:
        raise DetachedHead("No branch is checked out, so the branch with the work must be named.")
    return done.text.strip()


def require_repository(folder: Path) -> None:
    """`NotARepository` unless the folder is the root of one."""
    try:
        found = find(folder)
    except LeadsElsewhere as error:
        raise RepositoryElsewhere(f"{error}.") from error
    except OSError as error:
        raise GitFailed(f"{error.filename or folder}: {error.strerror}.", err=str(error)) from error
    if found is None:
        raise NotARepository(f"{folder} is not the root of a git repository.")


async def origin(folder: Path) -> str | None:
    """The URL of the remote `origin`."""
    done = await git(folder, "remote", "get-url", "origin", check=False)
    return done.text.strip() or None if done.code == 0 else None


async def tip(repository: Path, branch: str) -> str | None:
    """The commit that a branch is at; None when there is no such branch."""
    done = await git(repository, "show-ref", "--verify", "--hash", f"refs/heads/{branch}", check=False)
    return done.text.strip() if done.code == 0 else None


async def tips(repository: Path) -> dict[str, str]:
    """All branches and where they are."""
    words = ("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads/")
    lines = (await git(repository, *words)).lines
    return {name: sha for sha, name in (line.split(" ", 1) for line in lines)}


async def is_ahead(repository: Path, base: str, head: str) -> bool:
    """Whether `head` has a commit that `base` does not have."""
    return bool((await git(repository, "rev-list", "--max-count=1", f"{base}..{head}")).text.strip())


async def merged_tree(repository: Path, base: str, head: str) -> tuple[str, list[str] | None]:
    """The tree of both put together, and the files in conflict; None when they go together."""
    words = ("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", base, head)
    done = await git(repository, *words, check=False)
    if done.code not in (0, 1):
        if "unrelated histories" in done.err:
            return "", []
        raise told(GitFailed(f"git merge-tree said: {done.err[-600:]}", git_code=done.code, err=done.err))
    tree, *files = done.text.rstrip("\0").split("\0")
    return tree, None if done.code == 0 else sorted(set(files))


async def conflicts_between(folder: Path, base: str, head: str) -> list[str]:
    """The files in conflict, as far as that can be found out in this repository; it may not have the commits."""
    try:
        return (await merged_tree(folder, base, head))[1] or []
    except Problem:
        return []


async def committer(folder: Path) -> dict[str, str]:
    """Who commits in this repository, as variables for git."""
    said = (await git(folder, "var", "GIT_COMMITTER_IDENT")).text
    found = re.match(r"(?P<name>.*) <(?P<email>[^>]*)> \d+ [+-]\d{4}", said)
    name, email = (found["name"], found["email"]) if found else ("ATT", "att@localhost")
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
    }


async def commit(
    repository: Path, tree: str, parents: Sequence[str], message: str, env: Mapping[str, str]
) -> str:
    """A commit that no branch has yet."""
    words = [word for parent in parents for word in ("-p", parent)]
    text = message.encode("utf-8", "surrogateescape")
    done = await git(repository, "commit-tree", *words, "-F", "-", tree, stdin=text, env=env)
    return done.text.strip()


async def move(repository: Path, branch: str, new: str, old: str) -> bool:
    """Move a branch from `old` to `new`; False when it is not at `old` (any more)."""
    words = ("update-ref", "-m", "att: pull request merged", f"refs/heads/{branch}", new, old)
    return (await git(repository, *words, check=False)).code == 0


async def delete(repository: Path, branch: str, old: str) -> bool:
    """Delete a branch that is at `old`."""
    return (await git(repository, "update-ref", "-d", f"refs/heads/{branch}", old, check=False)).code == 0


async def rebased(
    repository: Path, base: str, head: str, env: Mapping[str, str]
) -> tuple[str, list[str] | None]:
    """The commits of `head` made anew upon `base`: the last of them, and the files in conflict (None: none)."""
    words = ("rev-list", "--reverse", "--no-merges", "--topo-order", f"{base}..{head}")
    onto = base
    for each in (await git(repository, *words)).text.split():
        onto, files = await _picked(repository, onto, each, env)
        if files is not None:
            return onto, files
    return onto, None


async def _picked(
    repository: Path, onto: str, picked: str, env: Mapping[str, str]
) -> tuple[str, list[str] | None]:
    parents = (await git(repository, "rev-list", "--parents", "--max-count=1", picked)).text.split()[1:]
    empty = (await git(repository, "mktree", stdin=b"")).text.strip()
    before = f"{parents[0]}^{{tree}}" if parents else empty
    common = await commit(repository, before, (), "base", env)
    ours = await commit(repository, f"{onto}^{{tree}}", (common,), "ours", env)
    theirs = await commit(repository, f"{picked}^{{tree}}", (common,), "theirs", env)
    tree, files = await merged_tree(repository, ours, theirs)
    if files is not None:
        return onto, files
    if tree == (await git(repository, "rev-parse", f"{onto}^{{tree}}")).text.strip():
        return onto, None
    words = ("log", "-1", "--date=raw", f"--format={_FORMAT}", picked)
    said = (await git(repository, *words)).out.decode("utf-8", "surrogateescape")
    name, email, date, message = said.split("\0", 3)
    author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": date}
    author = {key: value for key, value in author.items() if value.strip()}
    return await commit(repository, tree, (onto,), message.removesuffix("\n"), {**env, **author}), None


async def subjects(repository: Path, base: str, head: str, most: int = 100) -> list[str]:
    """The first lines of the commits of `head` that `base` does not have, oldest first."""
    words = ("log", f"--max-count={most}", "--reverse", "--format=%s", f"{base}..{head}")
    return (await git(repository, *words)).lines


async def modes(repository: Path, sha: str, names: Sequence[str]) -> dict[str, str]:
    """git's mode of each of the paths that the commit has."""
    done = await git(repository, "ls-tree", "-z", sha, "--", *names)
    entries = (entry.split("\t", 1) for entry in done.text.split("\0") if entry)
    return {name: facts.split(" ", 1)[0] for facts, name in entries}


async def text_at(repository: Path, sha: str, path: str, limit: int = 1 << 20) -> str:
    """A file of a commit; empty when it has none."""
    done = await git(repository, "cat-file", "blob", f"{sha}:{path}", check=False, limit=limit)
    return done.text if done.code == 0 else ""
