"""Comparing: the working tree with a commit, or two commits, as a unified diff by git."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from att.code.models import AskDiff, ChangedFile, Diff
from att.confine import Inside
from att.git.repository import Repository, open_repository
from att.problems import InvalidRequest

_LISTING = 8 << 20


async def diff(folder: Path, ask: AskDiff) -> Diff:
    """What differs, of all or of the paths that are named."""
    if ask.untracked and ask.head is not None:
        fields = [{"field": "untracked", "message": "belongs to the working tree, not to a revision"}]
        raise InvalidRequest("`untracked` and `head` do not go together.", fields=fields)
    inside = Inside(folder)
    for path in ask.path:
        await asyncio.to_thread(inside.resolve, path)
    repository = await open_repository(folder)
    revisions = await _revisions(repository, ask)
    if not ask.untracked:
        return await _compare(repository, ask, revisions, {})
    with tempfile.TemporaryDirectory(prefix="att-diff-") as aside:
        index = Path(aside, "index")
        if (repository.git_dir / "index").exists():
            await asyncio.to_thread(shutil.copyfile, repository.git_dir / "index", index)
        env = {"GIT_INDEX_FILE": str(index)}
        await repository.run("add", "--intent-to-add", "--", *(ask.path or ["."]), env=env, check=False)
        return await _compare(repository, ask, revisions, env)


async def _revisions(repository: Repository, ask: AskDiff) -> list[str]:
    if ask.base is not None:
        found = [await repository.commit_of(ask.base)]
    else:
        found = [await repository.head() or await _nothing(repository)]
    if ask.head is not None:
        found.append(await repository.commit_of(ask.head))
    return found


async def _nothing(repository: Repository) -> str:
    """The tree without files, in the repository's own kind of id."""
    return (await repository.run("hash-object", "-t", "tree", "--stdin", stdin=b"")).text.strip()


async def _compare(repository: Repository, ask: AskDiff, revisions: list[str], env: dict[str, str]) -> Diff:
    paths = ["--", *ask.path]
    counts = await repository.run(
        "diff", "--numstat", "-z", "--find-renames", *revisions, *paths, env=env, limit=_LISTING
    )
    text = await repository.run(
        *("diff", "--no-color", "--find-renames", "--src-prefix=a/", "--dst-prefix=b/"),
        *(f"--unified={ask.context}", *revisions, *paths),
        env=env,
        limit=ask.limit,
        cut=True,
    )
    shown = text.out[: text.out.rfind(b"\n") + 1] if text.cut else text.out
    return Diff(diff=shown.decode("utf-8", "replace"), files=_files(counts.out), cut=text.cut)


def _files(out: bytes) -> list[ChangedFile]:
    """What `git diff --numstat -z` tells: a renamed file has its two names behind an empty one."""
    words = iter(out.decode("utf-8", "replace").split("\0"))
    found = []
    for word in words:
        if not word:
            continue
        added, deleted, path = word.split("\t", 2)
        old = None
        if not path:
            old, path = next(words), next(words)
        found.append(ChangedFile(path=path, old_path=old, additions=_count(added), deletions=_count(deleted)))
    return found


def _count(text: str) -> int | None:
    return None if text == "-" else int(text)
