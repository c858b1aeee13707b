"""The few steps that change the disk, each a method of its own so that a test can interrupt any of them,
and files replaced whole.

A file replaced here is, after a power cut at any moment, the old one or the new one: written beside it,
fsynced, renamed, and the folder fsynced so that the name is as durable as the content.
"""

from __future__ import annotations

import fcntl
import os

FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync there does not reach the disk


class Disk:
    """The real one."""

    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        if FULL_SYNC is not None:
            fcntl.fcntl(fd, FULL_SYNC)
        else:
            os.fsync(fd)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def make_folder(self, path: str) -> None:
        os.makedirs(path, mode=0o700, exist_ok=True)


def write_all(disk: Disk, fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[disk.write(fd, bytes(view)) :]


def replace_file(disk: Disk, path: str, data: bytes) -> None:
    """`path` holds `data`.

    Or is as it was and OSError is raised. What is left beside it by a failure is overwritten next time.
    """
    beside = path + ".new"
    fd = disk.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(disk, fd, data)
        disk.fsync(fd)
    finally:
        os.close(fd)
    disk.rename(beside, path)
    sync_folder(disk, os.path.dirname(path))


def sync_folder(disk: Disk, path: str) -> None:
    fd = disk.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.fsync(fd)
    finally:
        os.close(fd)


def read_file(path: str, limit: int) -> bytes | None:
    """At most `limit` bytes of it; None when there is none. What is not a plain file is not waited for."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb", buffering=0) as file:
        parts = []
        while limit > 0 and (part := file.read(limit)):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
