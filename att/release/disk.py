"""The steps that change the disk while a release is made or cleared away, each a method of its own, so that a test can
interrupt any of them.

A file replaced here is, after a power cut at any moment, the old one or the new one. A folder that is to go is renamed
first, in one step, to a name that means nothing to anybody, and only then emptied.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path


class Disk:
    """The real one."""

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700)

    def open(self, path: Path, mode: int) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def symlink(self, target: str, path: Path) -> None:
        path.symlink_to(target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def remove_tree(self, path: Path) -> None:
        shutil.rmtree(path)

    def sync_tree(self, path: Path) -> None:
        """All that was written below `path`, by whomever, is on the disk: one call for its whole file system."""
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if libc.syncfs(fd) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number), str(path))
            finally:
                os.close(fd)
        else:
            os.sync()


def write_file(disk: Disk, path: Path, data: bytes, mode: int = 0o600) -> None:
    """A new file, whole and durable; what a failure leaves is a part of it."""
    fd = disk.open(path, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[disk.write(fd, bytes(view[: 1 << 20])) :]
        disk.fsync(fd)
    finally:
        os.close(fd)


def replace_file(disk: Disk, path: Path, data: bytes, mode: int = 0o600) -> None:
    """`path` holds `data`, or is as it was and OSError is raised."""
    beside = path.with_name(path.name + ".new")
    write_file(disk, beside, data, mode)
    disk.rename(beside, path)
    sync_folder(disk, path.parent)


def replace_link(disk: Disk, path: Path, target: str) -> None:
    """`path` leads to `target`, or is as it was and OSError is raised."""
    beside = path.with_name(path.name + ".new")
    if beside.is_symlink():
        disk.unlink(beside)
    disk.symlink(target, beside)
    disk.rename(beside, path)
    sync_folder(disk, path.parent)


def sync_folder(disk: Disk, path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk.fsync(fd)
    finally:
        os.close(fd)
