"""Which repository a folder is: its own, and no other.

git looks for a repository in the folders above, and follows a `.git` that is a file or a link to wherever it says. Neither
may decide here: a folder that was downloaded must not lead into somebody else's repository, nor a project into the one that it
happens to lie in. A linked worktree is known by its repository pointing back at it. So a project is its own repository, or none:
what lies inside a larger one is told so, and is registered by the root of that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from att import plain

_POINTER = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """`git_dir`: what GIT_DIR is to be. `work_tree` is None for a bare repository."""

    git_dir: Path
    work_tree: Path | None


class LeadsElsewhere(Exception):
    """The folder's `.git` leads to a repository that is not its own."""


def find(folder: Path) -> Place | None:
    """The repository whose root is `folder`; None when there is none."""
    dot = folder / ".git"
    if dot.is_symlink():
        raise LeadsElsewhere(f"{dot} is a link")
    if dot.is_dir():
        return Place(_own(dot), folder) if _looks_like_one(dot) else None
    if dot.is_file():
        return Place(_pointed(dot, folder), folder)
    return Place(folder, None) if _looks_like_one(folder) else None


def above(folder: Path) -> Path | None:
    """The nearest folder above `folder` that has a `.git`."""
    return next((parent for parent in folder.parents if (parent / ".git").exists()), None)


def _looks_like_one(folder: Path) -> bool:
    objects = (folder / "objects").is_dir() and not (folder / "objects").is_symlink()
    return objects and os.path.lexists(folder / "HEAD") and (folder / "refs").is_dir()


def _own(git_dir: Path) -> Path:
    """The same, when it keeps all that it has within itself."""
    if (git_dir / "commondir").exists():
        raise LeadsElsewhere(f"{git_dir} is a part of another repository")
    real = os.path.realpath(git_dir)
    with os.scandir(git_dir) as entries:
        for entry in entries:
            if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(real):
                raise LeadsElsewhere(f"{entry.path} is a link that leads out of it")
    return git_dir


def _pointed(dot: Path, folder: Path) -> Path:
    with plain.opened(dot) as file:
        text = file.read(_POINTER).decode("utf-8", "surrogateescape").strip()
    if not text.startswith("gitdir: ") or "\0" in text:
        raise LeadsElsewhere(f"{dot} is not understood")
    target = Path(os.path.realpath(folder / text.removeprefix("gitdir: ")))
    if not (target / "HEAD").is_file():
        raise LeadsElsewhere(f"{dot} leads to {target}, which is no repository")
    if _worktree_of(target, dot):
        return target
    if target.is_relative_to(os.path.realpath(folder)):
        return _own(target)
    raise LeadsElsewhere(f"{dot} leads to {target}, which does not know it")


def _worktree_of(target: Path, dot: Path) -> bool:
    """Whether `target` is the entry of a linked worktree which names this very `.git`."""
    try:
        back = plain.content(target / "gitdir", _POINTER).decode("utf-8", "surrogateescape").strip()
    except OSError:
        return False
    return os.path.realpath(target / back) == os.path.realpath(dot) and target.parent.name == "worktrees"
