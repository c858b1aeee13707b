"""git as the forge asks it: that the disk is full is told as that, all else in git's own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from att.git import command
from att.git.command import Done
from att.git.errors import GitFailed
from att.git.said import problem_of
from att.store.errors import DiskFull


async def git(folder: Path, *words: str, **named: Any) -> Done:
    """`att.git.command.git`, which takes the same."""
    try:
        return await command.git(folder, *words, **named)
    except GitFailed as failed:
        raise told(failed) from None


def told(failed: GitFailed) -> GitFailed | DiskFull:
    """`DiskFull` when that is what git said."""
    problem = problem_of(failed)
    return problem if isinstance(problem, DiskFull) else failed
