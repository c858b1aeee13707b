"""The commit of a change: of its files alone, made beside the index, and the same one again when it is made twice.

The tree is written with an index of its own, so what others have staged is neither committed nor lost. Author, time and parent
being the same, a repeat after a crash makes the commit with the same id, and sees that it is there already. What it is about to
do is noted beside, so that it can be taken back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from att.git import names
from att.git.errors import BranchExists, DetachedHead, IndexLocked
from att.git.repository import Repository, open_repository
from att.workflow.errors import FilesDirty

NOTE = "commit.json"
Check = Callable[[set[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the commit goes: the branch, the commit before it (None: the first), and the branch that was checked out."""

    branch: str
    head: str | None
    was_on: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """A commit that is about to be made, or was."""

    branch: str
    commit: str
    old: str | None
    was_on: str | None


async def find_ground(folder: Path, branch: str | None) -> Ground:
    """Where a commit would go now; the problem when it cannot."""
    repository = await open_repository(folder)
    repository.must_be_at_rest()
    current, head = await repository.branch(), await repository.head()
    if branch is None and current is None:
        raise DetachedHead("HEAD is on no branch; name one for the commit.")
    if branch is not None and branch != current:
        names.branch(branch, field="branch")
        if await repository.has(branch) is not None:
            raise BranchExists(f"There is a branch {branch!r} already.")
    return Ground(branch or current or "", head, current)


async def must_be_clean(folder: Path, paths: list[str]) -> None:
    """`FilesDirty` when one of these paths differs from what is committed."""
    repository = await open_repository(folder)
    words = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignored=no", "--")
    entries: list[str] = []
    for some in _portions(paths):
        done = await repository.run(*words, *some)
        entries += [entry for entry in done.out.decode("utf-8", "surrogateescape").split("\0") if entry]
    named = {entry[3:] for entry in entries} | set(entries)  # of what was renamed, both names stand there
    dirty = sorted(named & set(paths))
    if dirty:
        raise FilesDirty(f"{', '.join(dirty[:5])}: not committed.", paths=dirty[:100])


async def commit(
    folder: Path,
    place: Path,
    paths: list[str],
    message: str,
    ground: Ground,
    moment: str,
    check: Check | None = None,
) -> dict[str, Any]:
    """Commit these paths as they are in the tree; the commit is None when there is nothing in it.

    `check`: asked of what is committed, after the tree is written and before the branch is moved to it.
    """
    repository = await open_repository(folder)
    ignored = await _ignored(repository, paths)
    chosen = [path for path in paths if path not in ignored]
    target = f"refs/heads/{ground.branch}"
    there = await repository.has(ground.branch)
    made, noted = None, _noted(place)
    if noted is not None and there == noted.commit:  # made before a crash, whatever the files are by now
        made, parent = noted.commit, noted.old or ground.head
    else:
        parent = there or ground.head  # there: somebody else's, on top of what we saw
        made = await _made(repository, place, chosen, message, parent, moment)
        if check is not None:
            await check(set(chosen))
    if made is not None and made != there:
        note = Note(ground.branch, made, there, ground.was_on)
        _write(place / NOTE, json.dumps(asdict(note)))
        await repository.run("update-ref", "-m", "att: change", target, made, there or "0" * len(made))
    if made is not None and ground.branch != ground.was_on:
        await repository.run("symbolic-ref", "-m", "att: change", "HEAD", target)
    if made is not None:
        await refresh(folder, chosen)
    return {"commit": made, "branch": ground.branch, "parent": parent, "ignored": sorted(ignored)}


async def take_back(folder: Path, place: Path) -> bool:
    """Take the commit away when it was made and is still the newest of its branch. Whether it was."""
    note = _noted(place)
    if note is None:
        return False
    repository = await open_repository(folder)
    if await repository.has(note.branch) != note.commit:
        return False
    if note.was_on is not None and note.was_on != note.branch and await repository.branch() == note.branch:
        await repository.run("symbolic-ref", "-m", "att: undo", "HEAD", f"refs/heads/{note.was_on}")
    target = f"refs/heads/{note.branch}"
    if note.old is None:
        await repository.run("update-ref", "-d", target, note.commit)
    else:
        await repository.run("update-ref", "-m", "att: undo", target, note.old, note.commit)
    return True


async def refresh(folder: Path, paths: list[str]) -> None:
    """Have the index say of these paths what HEAD says; one that is locked is left as it is, which loses nothing."""
    repository = await open_repository(folder)
    for some in _portions(paths):
        with suppress(IndexLocked):
            await repository.run("reset", "--quiet", "--", *some)


async def _ignored(repository: Repository, paths: list[str]) -> set[str]:
    """Those of the paths that git is told to ignore, and does not know already."""
    words = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--")
    found: set[str] = set()
    for some in _portions(paths):
        done = await repository.run(*words, *some)
        found.update(name for name in done.out.decode("utf-8", "surrogateescape").split("\0") if name)
    return found & set(paths)


def _portions(paths: list[str]) -> Iterator[list[str]]:
    """As many at a time as surely fit on a command line."""
    for begin in range(0, len(paths), 100):
        yield paths[begin : begin + 100]


async def _made(
    repository: Repository, place: Path, paths: list[str], message: str, parent: str | None, moment: str
) -> str | None:
    """The commit on `parent`; None when it would change nothing."""
    index = place / "index"
    index.unlink(missing_ok=True)
    own = {"GIT_INDEX_FILE": str(index)}
    await repository.run("read-tree", *([parent] if parent else ["--empty"]), env=own)
    data = "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
    await repository.run("update-index", "--add", "--remove", "-z", "--stdin", stdin=data, env=own)
    tree = (await repository.run("write-tree", env=own)).text.strip()
    if parent is not None and tree == await repository.ask("rev-parse", f"{parent}^{{tree}}"):
        return None
    dates = {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
    words = ("commit-tree", tree, *(("-p", parent) if parent else ()), "-F", "-")
    done = await repository.run(*words, stdin=message.encode(), env=dates)
    return done.text.strip()


def _noted(place: Path) -> Note | None:
    file = place / NOTE
    return Note(**json.loads(file.read_text("utf-8"))) if file.exists() else None


def _write(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
