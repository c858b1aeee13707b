"""Removing and moving whole directories, without ever following a link out of them."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def remove_tree(path: Path) -> bool:
    """Remove the directory and all in it; links in it are removed, not followed. Whether nothing is left.

    Directories that their owner may not change are made changeable first.
    """
    if not _is_real_directory(path):
        return not os.path.lexists(path)
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        _unlock(path)
        shutil.rmtree(path, ignore_errors=True)
    return not os.path.lexists(path)


def identity(path: Path) -> tuple[int, int] | None:
    """What tells this directory from another of the same name; None when there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def is_itself(path: Path) -> bool:
    """Whether the path is a directory and no part of it is a link."""
    return _is_real_directory(path) and Path(os.path.realpath(path)) == path


def _is_real_directory(path: Path) -> bool:
    return identity(path) is not None


def _unlock(path: Path) -> None:
    try:
        path.chmod(0o700)
        entries = [entry for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return  # another's: the second attempt to remove it tells
    for entry in entries:
        _unlock(Path(entry.path))
