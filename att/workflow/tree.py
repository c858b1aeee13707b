"""The files that a change touches: how each was and is to be, kept outside of the tree, and put there one by one.

A file's state is its kind, its mode and the digest of what is in it. `put` exchanges one whole file (or link) for another, and only
when it is in a state that was expected: what somebody else wrote meanwhile is never overwritten. Every path is walked as
`att.confine` walks it; a link is taken as itself. Nothing is read into memory as a whole.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from att.confine import TEMPORARY, Inside, NotAFile
from att.confine_errors import FileMissing, told
from att.confine_walk import Spot, Walk, not_git, parts_of
from att.problems import Problem
from att.workflow.undoing import ABSENT, State, Way, way

_PIECE = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileChangedMeanwhile(Exception):
    """Raised with the path: somebody else has written there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a change. `folders`: those that the change makes on the way, the outermost first."""

    path: str
    before: State
    after: State
    before_mtime: int
    folders: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Entry:
        return cls(
            told["path"],
            State(**told["before"]),
            State(**told["after"]),
            told["before_mtime"],
            tuple(told["folders"]),
        )


def real_path(inside: Inside, relative: str, *, follow: bool) -> str:
    """Where a path really is below the root; with `follow`, a link at its end is followed."""
    walk = Walk(inside.root, str(inside.root), parts_of(relative), relative)
    try:
        with told(relative):
            spot = walk.go(follow=follow, make=False, missing=True)
        not_git(spot)
        if not spot.parts:
            raise NotAFile("This is the project's own directory.")
        return spot.path
    finally:
        walk.close()


def missing_folders(inside: Inside, path: str) -> tuple[str, ...]:
    """The directories above a path that are not there, the outermost first."""
    parts = path.split("/")[:-1]
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return tuple(each for each in above if not os.path.lexists(inside.root / each))


def save(inside: Inside, path: str, blob: Path | None) -> tuple[State, int]:
    """The state of a path and when it was last written; its content is copied to `blob`."""
    try:
        with _spot(inside, path) as spot, told(path):
            return _state(spot, blob)
    except FileMissing:
        return ABSENT, 0


def put(
    inside: Inside, path: str, state: State, blob: Path, expected: Collection[State], mtime: int | None = None
) -> bool:
    """Bring a path into a state; False when it was in it. `FileChangedMeanwhile` unless it is in an expected one."""
    now, _ = save(inside, path, None)
    others = [way(now, state, other) for other in expected]
    if Way.NOTHING in others:
        return False
    if Way.EXCHANGE not in others:
        raise FileChangedMeanwhile(path)
    with _spot(inside, path, make=state != ABSENT) as spot, told(path):
        if state == ABSENT:
            os.unlink(spot.name, dir_fd=spot.folder)
        else:
            _exchange(spot, state, blob, mtime)
        _sync(spot.folder)
    return True


def remove_folder(inside: Inside, path: str) -> None:
    """Remove a directory that the change has made, unless something of somebody else is in it by now."""
    caches = inside.root / path / "__pycache__"
    with suppress(OSError, Problem):
        if caches.is_dir() and not caches.is_symlink() and list(caches.parent.iterdir()) == [caches]:
            inside.remove(f"{path}/__pycache__", recursive=True)
    with suppress(OSError, Problem), _spot(inside, path) as spot:
        os.rmdir(spot.name, dir_fd=spot.folder)


@contextmanager
def _spot(inside: Inside, path: str, *, make: bool = False) -> Iterator[Spot]:
    walk = Walk(inside.root, str(inside.root), parts_of(path), path)
    try:
        with told(path):
            spot = walk.go(follow=False, make=make, missing=False)
        not_git(spot)
        yield spot
    finally:
        walk.close()


def _state(spot: Spot, blob: Path | None) -> tuple[State, int]:
    try:
        found = os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
    except FileNotFoundError:
        return ABSENT, 0
    if stat.S_ISLNK(found.st_mode):
        target = os.fsencode(os.readlink(spot.name, dir_fd=spot.folder))
        if blob is not None:
            blob.write_bytes(target)
        return State("link", 0, hashlib.sha256(target).hexdigest()), found.st_mtime_ns
    if not stat.S_ISREG(found.st_mode):
        raise NotAFile(f"{spot.path[:200]!r} is neither a regular file nor a link.")
    descriptor = os.open(spot.name, _READ, dir_fd=spot.folder)
    try:
        found = os.fstat(descriptor)
        digest = _copied(descriptor, blob)
    finally:
        os.close(descriptor)
    return State("file", stat.S_IMODE(found.st_mode), digest), found.st_mtime_ns


def _copied(source: int, blob: Path | None) -> str:
    """The digest of what is in a file, which is copied to `blob` as well."""
    digest = hashlib.sha256()
    target = (
        None if blob is None else os.open(blob, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    )
    try:
        while piece := os.read(source, _PIECE):
            digest.update(piece)
            if target is not None:
                _write(target, piece)
        if target is not None:
            os.fsync(target)
    finally:
        if target is not None:
            os.close(target)
    return digest.hexdigest()


def _write(target: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(target, view) :]


def _exchange(spot: Spot, state: State, blob: Path, mtime: int | None) -> None:
    beside = f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        if state.kind == "link":
            os.symlink(os.fsdecode(blob.read_bytes()), beside, dir_fd=spot.folder)
        else:
            _make(spot.folder, beside, state, blob, mtime)
        os.replace(beside, spot.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=spot.folder)
        raise


def _make(folder: int, name: str, state: State, blob: Path, mtime: int | None) -> None:
    target = os.open(name, _NEW, 0o600, dir_fd=folder)
    try:
        with blob.open("rb") as source:
            while piece := source.read(_PIECE):
                _write(target, piece)
        os.fchmod(target, state.mode)
        if mtime is not None:
            os.utime(target, ns=(mtime, mtime))
        os.fsync(target)
    finally:
        os.close(target)


def _sync(folder: int) -> None:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
