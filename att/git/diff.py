"""What differs: between the working tree, the index and commits, as counts for each file and as a unified diff."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from att.confine_walk import parts_of
from att.git.models import FileDiff, GitDiff, ReadDiff
from att.git.repository import Repository
from att.git.status import CHANGES, path_of
from att.problems import InvalidRequest

_SHAPE = ("--find-renames", "--ignore-submodules=dirty", "--submodule=short", "--no-relative")


async def diff(repository: Repository, ask: ReadDiff) -> GitDiff:
    """The difference that is asked for; untracked files are in none."""
    sides = await _sides(repository, ask)
    for path in ask.path:
        parts_of(path)
    where = (*sides, "--", *ask.path)
    counting = repository.run("diff", *_SHAPE, "--raw", "--numstat", "-z", "--no-abbrev", *where)
    if ask.stat_only:
        counts, text, cut = await counting, "", False
    else:
        patch = repository.run(
            *("diff", *_SHAPE, "--patch", f"--unified={ask.context}", "--src-prefix=a/", "--dst-prefix=b/"),
            *where,
            limit=ask.max_bytes,
            cut=True,
        )
        counts, told = await asyncio.gather(counting, patch)
        text, cut = told.text, told.cut
    files = parse(counts.out)
    return GitDiff(
        files=files,
        insertions=sum(file.insertions or 0 for file in files),
        deletions=sum(file.deletions or 0 for file in files),
        diff=text,
        truncated=cut,
    )


async def _sides(repository: Repository, ask: ReadDiff) -> list[str]:
    if ask.to_revision is not None and ask.from_revision is None:
        raise _unfit("to_revision", "needs from_revision")
    if ask.staged and ask.to_revision is not None:
        raise _unfit("staged", "does not go with to_revision")
    revisions = [r for r in (ask.from_revision, ask.to_revision) if r is not None]
    found = [await repository.commit_of(revision) for revision in revisions]
    return [*(["--cached"] if ask.staged else []), "--end-of-options", *found]


def parse(answer: bytes) -> list[FileDiff]:
    """`--raw --numstat -z`: first how each file changed, then by how many lines."""
    files: dict[bytes, FileDiff] = {}
    words = iter(answer.split(b"\0")[:-1])
    for word in words:
        if word.startswith(b":"):
            _raw(word, words, files)
        else:
            _counted(word, words, files)
    return list(files.values())


def _raw(word: bytes, words: Iterator[bytes], files: dict[bytes, FileDiff]) -> None:
    letter = word.rsplit(b" ", 1)[-1][:1].decode()
    path, old = next(words, b""), None
    if letter in "RC":
        old, path = path, next(words, b"")
    if path in files:  # an unmerged file comes twice
        return
    files[path] = FileDiff(
        path=path_of(path),
        change=CHANGES.get(letter, "unknown"),
        old_path=None if old is None else path_of(old),
    )


def _counted(word: bytes, words: Iterator[bytes], files: dict[bytes, FileDiff]) -> None:
    insertions, deletions, path = word.split(b"\t", 2)
    if not path:  # a rename: from where and to where follow
        next(words, b"")
        path = next(words, b"")
    file = files.get(path)
    if file is None:
        return
    if insertions == b"-":
        file.binary = True
    else:
        file.insertions, file.deletions = int(insertions), int(deletions)


def _unfit(field: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {why}.", fields=[{"field": field, "message": why}])
