"""The walk from a project's root to what a caller names, one component at a time, never led by the kernel past a link.

Each link is read and walked in its turn; `..` in one goes back along the descriptors that were opened, not to what is above
by then. Everything stays open until the walk is closed, so a `Spot` names a directory that was reached inside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from att.confine_errors import GitInternals, PathOutsideProject, invalid, outside, told

MAX_PATH = 4096
_MAX_LINKS = 40
_MAX_RACES = 100
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Spot:
    """A name in a directory that is held open; the name is "." when it is the root itself."""

    folder: int
    name: str
    parts: tuple[str, ...]  # its real place below the root
    made: list[tuple[int, str]] = field(default_factory=list)  # directories that were made on the way

    @property
    def path(self) -> str:
        return "/".join(self.parts)


class Walk:
    """One walk down from the root: the descriptors on the way, and the names that are still to be walked."""

    def __init__(self, root: Path, named: str, parts: Sequence[str], asked: str) -> None:
        """`named`: the root as it was given, for links that name it so."""
        self._roots = (str(root), named)
        self._asked = asked
        self._pending = deque(parts)
        self._names: list[str] = []
        self._made: list[tuple[int, str]] = []
        self._all: list[int] = []
        with told(asked):
            first = os.open(root, _DIRECTORY)
        self._all.append(first)
        self._stack = [first]

    def close(self) -> None:
        for descriptor in self._all:
            os.close(descriptor)

    def go(self, *, follow: bool, make: bool, missing: bool) -> Spot:
        links = races = 0
        while self._pending:
            name = self._pending.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                self._up()
                continue
            last = not any(part not in ("", ".") for part in self._pending)
            if last and not follow:
                return self._at(name)
            target = self._link(name)
            if target is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise invalid(self._asked, "has too many links")
                self._turn(target)
            elif last:
                return self._at(name)
            else:
                try:
                    self._down(name, make)
                except FileNotFoundError:
                    if not missing:
                        raise
                    return self._beyond(name)
                except OSError as error:
                    races += 1
                    if races > _MAX_RACES or not self._has_changed(name, error):
                        raise
                    self._pending.appendleft(name)
        return self._here()

    def _at(self, name: str) -> Spot:
        return Spot(self._stack[-1], name, (*self._names, name), self._made)

    def _here(self) -> Spot:
        """The directory that was reached, as a name in the one above it."""
        if len(self._stack) == 1:
            return Spot(self._stack[0], ".", (), self._made)
        return Spot(self._stack[-2], self._names[-1], tuple(self._names), self._made)

    def _beyond(self, name: str) -> Spot:
        rest = [name, *(part for part in self._pending if part not in ("", "."))]
        if ".." in rest:
            raise PathOutsideProject(f"{self._asked[:200]!r} goes back from where nothing is.")
        return Spot(self._stack[-1], rest[-1], (*self._names, *rest), self._made)

    def _up(self) -> None:
        if len(self._stack) == 1:
            raise outside(self._asked)
        self._stack.pop()
        self._names.pop()

    def _down(self, name: str, make: bool) -> None:
        above = self._stack[-1]
        try:
            found = os.open(name, _DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
            not_git(Spot(above, name, (*self._names, name)))
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=above)
                self._made.append((above, name))
            found = os.open(name, _DIRECTORY, dir_fd=above)
        self._all.append(found)
        self._stack.append(found)
        self._names.append(name)

    def _turn(self, target: str) -> None:
        """Go on where a link points."""
        if target.startswith("/"):
            below = self._below(target)
            if below is None:
                raise outside(self._asked)
            del self._stack[1:]
            self._names.clear()
            self._pending.extendleft(reversed(below))
        else:
            self._pending.extendleft(reversed(target.split("/")))

    def _below(self, target: str) -> list[str] | None:
        """The parts of an absolute path below the root; None when it is not."""
        for root in self._roots:
            if target == root or target.startswith(root.rstrip("/") + "/"):
                return target[len(root) :].split("/")
        return None

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(name, dir_fd=self._stack[-1])
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise

    def _has_changed(self, name: str, error: OSError) -> bool:
        """Whether what was no directory has become a link, or a directory, since: it is to be looked at again."""
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            return False
        try:
            found = os.stat(name, dir_fd=self._stack[-1], follow_symlinks=False).st_mode
        except FileNotFoundError:
            return True
        return stat.S_ISDIR(found) or stat.S_ISLNK(found)


def parts_of(relative: str) -> list[str]:
    if "\0" in relative or relative.startswith("/") or ".." in relative.split("/"):
        raise outside(relative)
    try:
        size = len(os.fsencode(relative))
    except UnicodeEncodeError:
        raise invalid(relative, "cannot be a name") from None
    if size > MAX_PATH:
        raise invalid(relative, "is too long")
    return relative.split("/")


def is_git(name: str) -> bool:
    """Whether some file system takes this name for `.git`."""
    return name.casefold().rstrip(" .") == ".git"


def not_git(spot: Spot) -> None:
    if any(map(is_git, spot.parts)):
        raise GitInternals(f"{spot.path[:200]!r} belongs to git.")
