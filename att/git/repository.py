"""A project's repository: found, asked, and its answers as typed problems."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from att.git import names
from att.git.command import Done, git
from att.git.errors import (
    GitFailed,
    MergeInProgress,
    NoCommits,
    NotARepository,
    RepositoryAbove,
    RepositoryDamaged,
    RepositoryElsewhere,
    UnknownRevision,
)
from att.git.models import UnderWay
from att.git.place import LeadsElsewhere, above, find
from att.git.said import problem_of

_UNDER_WAY: dict[str, UnderWay] = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}


@dataclass(frozen=True, slots=True)
class Repository:
    folder: Path
    git_dir: Path

    async def run(self, *words: str, **named: Any) -> Done:
        """git in this repository; `named` as `att.git.command.git` takes it."""
        try:
            return await git(self.folder, *words, **named)
        except GitFailed as failed:
            problem = problem_of(failed)
            if problem is failed:
                raise
            raise problem from failed

    async def ask(self, *words: str) -> str | None:
        """One line that git answers; None when it says no."""
        done = await self.run(*words, check=False)
        if done.code == 0:
            return done.text.rstrip("\n")
        problem = problem_of(GitFailed(f"git said: {done.err[-600:]}", git_code=done.code, err=done.err))
        if isinstance(problem, RepositoryDamaged):
            raise problem
        return None

    async def commit_of(self, revision: str) -> str:
        """The id of the commit that a revision names."""
        names.revision(revision)
        found = await self.ask(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
        if found is None and revision == "HEAD":
            raise NoCommits("HEAD names no commit yet.")
        if found is None:
            raise UnknownRevision(f"{revision[:100]!r} names no commit.")
        return found

    async def head(self) -> str | None:
        """The id of the commit that HEAD is at; None when there is none yet."""
        return await self.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")

    async def branch(self) -> str | None:
        """The branch that HEAD is on, with or without a commit; None when it is on none."""
        ref = await self.ask("symbolic-ref", "--quiet", "HEAD")
        return ref.removeprefix("refs/heads/") if ref and ref.startswith("refs/heads/") else None

    async def has(self, branch: str) -> str | None:
        """The commit of a local branch."""
        return await self.ask("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")

    def under_way(self) -> UnderWay | None:
        """What was begun and is not finished."""
        return next((word for name, word in _UNDER_WAY.items() if os.path.lexists(self.git_dir / name)), None)

    def must_be_at_rest(self) -> None:
        if word := self.under_way():
            raise MergeInProgress(f"A {word} is not finished.", operation=word)


async def open_repository(folder: Path) -> Repository:
    """The repository whose root is the project's directory."""
    return await asyncio.to_thread(_open, folder)


def _open(folder: Path) -> Repository:
    try:
        place = find(folder)
    except LeadsElsewhere as error:
        raise RepositoryElsewhere(f"{error}.") from error
    except OSError as error:
        raise GitFailed(f"{error.filename or folder}: {error.strerror}.", err=str(error)) from error
    if place is not None and place.work_tree is not None:
        return Repository(folder, place.git_dir)
    if place is None and (parent := above(folder)) is not None:
        raise RepositoryAbove(f"The repository's root is {parent}, above the project.")
    raise NotARepository(f"{folder} holds no repository.")
