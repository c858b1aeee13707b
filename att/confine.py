"""Confinement: whatever a caller names in a project's directory is reached inside of it, or not at all.

A name is walked one component at a time from a descriptor of the root, never following a link by the kernel: each link
is read and walked in its turn, `..` in one goes back along the descriptors that were opened, and a target that leaves the
root is refused (`path_outside_project`). So nothing that is exchanged meanwhile, a directory by a link among it, can lead
out: every step is taken from a directory that was reached inside. (`openat2` would do the same with fewer calls, but
refuses absolute links that stay inside, and is not everywhere; one way for all systems is easier to trust.)

A write is whole or not at all (`att.confine_put`). Two writers of
one file stand in line from the look at its present state to the rename, so `check` decides on what is really replaced.
Nothing below a directory `.git` is written, moved or deleted here: that is git's own.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from att.confine_errors import (
    PATH_ERRORS,
    FileMissing,
    FileUnavailable,
    FolderNotEmpty,
    GitInternals,
    InvalidPath,
    NotAFile,
    PathOutsideProject,
    PathTaken,
    problem_of,
    told,
)
from att.confine_put import TEMPORARY, put
from att.confine_walk import Spot, Walk, is_git, not_git, parts_of

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCKS = [threading.Lock() for _ in range(64)]

Check = Callable[[int | None], None]
"""Looks at the file that is about to be replaced (a descriptor; None: there is none) and raises if it may not be."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: where the file really is, whether it is new, and its state."""

    path: str
    created: bool
    status: os.stat_result


class Inside:
    """A project's directory, as the only one that can be reached."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self._named = os.path.abspath(root)  # noqa: PTH100  (resolve() would follow links)

    def resolve(self, relative: str) -> Path:
        """Where a path really is, all links followed; what is missing at its end need not exist."""
        with self._spot(relative, missing=True) as spot:
            return self.root.joinpath(*spot.parts)

    def status(self, relative: str, *, follow: bool = True) -> os.stat_result:
        with self._spot(relative, follow=follow) as spot, told(relative):
            return os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)

    def open(self, relative: str) -> int:
        """A descriptor to read a regular file by; never waits for the other end of a pipe."""
        with self._spot(relative) as spot:
            return _open_file(spot, relative)

    def folder(self, relative: str = "") -> int:
        """A descriptor to list a directory by."""
        with self._spot(relative) as spot, told(relative):
            return os.open(
                spot.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=spot.folder
            )

    def write(
        self, relative: str, data: bytes, *, check: Check | None = None, exclusive: bool = False
    ) -> Written:
        """Make or replace a file, with the directories it needs. `exclusive`: `PathTaken` when there is one."""
        with self._spot(relative, make=True) as spot, _undone(spot):
            not_git(spot)
            _not_root(spot)
            with _lock(spot):
                before = self._before(spot, relative)
                try:
                    if check is not None:
                        check(before)
                    mode = None if before is None else stat.S_IMODE(os.fstat(before).st_mode) & 0o777
                finally:
                    if before is not None:
                        os.close(before)
                if exclusive and mode is not None:
                    raise PathTaken(f"There is a file {spot.path!r} already.")
                with told(relative):
                    return Written(spot.path, mode is None, _put(spot, data, mode, exclusive))

    def remove(self, relative: str, *, recursive: bool = False, check: Check | None = None) -> bool:
        """Delete a file, a link (not what it names) or a directory. Whether it was a directory."""
        with self._spot(relative, follow=False) as spot, _lock(spot), told(relative):
            not_git(spot)
            _not_root(spot)
            found = os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                if check is not None:
                    _check_open(spot, relative, check)
                os.unlink(spot.name, dir_fd=spot.folder)
            elif check is not None:
                raise NotAFile(f"{relative[:200]!r} is a directory, which has no etag.")
            elif recursive:
                _no_repository_in(spot)
                shutil.rmtree(spot.name, dir_fd=spot.folder)
            else:
                os.rmdir(spot.name, dir_fd=spot.folder)
            _sync(spot.folder)
            return stat.S_ISDIR(found.st_mode)

    def move(
        self, source: str, target: str, *, replace: bool = False, check: Check | None = None
    ) -> tuple[str, str]:
        """Rename within the root, a link as itself; the two real paths. Directories never replace anything."""
        with (
            self._spot(source, follow=False) as old,
            self._spot(target, follow=False, make=True) as new,
            _undone(new),
        ):
            for spot in (old, new):
                not_git(spot)
                _not_root(spot)
            with _lock(old, new), told(source):
                found = os.stat(old.name, dir_fd=old.folder, follow_symlinks=False)
                if check is not None:
                    _check_open(old, source, check)
                _must_give_way(new, target, replace=replace and not stat.S_ISDIR(found.st_mode))
                os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)
                _sync(new.folder)
                _sync(old.folder)
                return old.path, new.path

    def _before(self, spot: Spot, relative: str) -> int | None:
        try:
            return _open_file(spot, relative)
        except FileMissing:
            return None

    @contextmanager
    def _spot(
        self, relative: str, *, follow: bool = True, make: bool = False, missing: bool = False
    ) -> Iterator[Spot]:
        """Walk to the directory that holds the last component."""
        walk = Walk(self.root, self._named, parts_of(relative), relative)
        try:
            with told(relative):
                spot = walk.go(follow=follow, make=make, missing=missing)
            yield spot
        finally:
            walk.close()


def _open_file(spot: Spot, relative: str) -> int:
    with told(relative):
        try:
            found = os.open(spot.name, _READ, dir_fd=spot.folder)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ELOOP):  # a socket; or it has become a link
                raise NotAFile(f"{relative[:200]!r} is no regular file.") from error
            raise
    if stat.S_ISREG(os.fstat(found).st_mode):
        return found
    os.close(found)
    raise NotAFile(f"{relative[:200]!r} is no regular file.")


def _check_open(spot: Spot, relative: str, check: Check) -> None:
    found = _open_file(spot, relative)
    try:
        check(found)
    finally:
        os.close(found)


def _put(spot: Spot, data: bytes, mode: int | None, exclusive: bool) -> os.stat_result:
    found = put(spot.folder, spot.name, data, mode, exclusive)
    for folder in {spot.folder, *(above for above, _ in spot.made)}:
        _sync(folder)
    return found


def _must_give_way(spot: Spot, relative: str, *, replace: bool) -> None:
    try:
        there = os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not replace or stat.S_ISDIR(there.st_mode):
        raise PathTaken(f"There is something at {relative[:200]!r} already.")


@contextmanager
def _undone(spot: Spot) -> Iterator[None]:
    """Take away the directories that were made on the way when it comes to nothing."""
    try:
        yield
    except BaseException:
        for above, name in reversed(spot.made):
            with suppress(OSError):
                os.rmdir(name, dir_fd=above)
        raise


@contextmanager
def _lock(*spots: Spot) -> Iterator[None]:
    """One at a time for each name (and for a few others that fall on the same lock)."""
    keys = set()
    for spot in spots:
        folder = os.fstat(spot.folder)
        keys.add(hash((folder.st_dev, folder.st_ino, spot.name)) % len(_LOCKS))
    held = [_LOCKS[key] for key in sorted(keys)]
    for lock in held:
        lock.acquire()
    try:
        yield
    finally:
        for lock in held:
            lock.release()


def _sync(folder: int) -> None:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_root(spot: Spot) -> None:
    if not spot.parts:
        raise NotAFile("This is the project's own directory.")


def _no_repository_in(spot: Spot) -> None:
    for _, folders, files, _ in os.fwalk(spot.name, dir_fd=spot.folder, follow_symlinks=False):
        if any(map(is_git, (*folders, *files))):
            raise GitInternals(f"There is a git repository in {spot.path[:200]!r}.")


__all__ = [
    "PATH_ERRORS",
    "TEMPORARY",
    "Check",
    "FileMissing",
    "FileUnavailable",
    "FolderNotEmpty",
    "GitInternals",
    "Inside",
    "InvalidPath",
    "NotAFile",
    "PathOutsideProject",
    "PathTaken",
    "Written",
    "is_git",
    "problem_of",
]
