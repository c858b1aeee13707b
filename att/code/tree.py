"""Walking a project's directory in the order of its paths, without what is ignored, and never through a link.

A generator that is asked for as many entries as are wanted: the first page of a large tree costs a page. Each directory is
opened from the one above it, so nothing that is exchanged meanwhile leads the walk away. `find` comes by chosen files in the
same way, without the others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from att.code.globs import Rules, read
from att.confine import TEMPORARY

MAX_DEPTH = 200
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LARGEST_RULES = 1 << 20

Chain = tuple[tuple[int, Rules], ...]
"""The rules that hold in a directory: how many characters of the path lead to where they stand, and what they say."""


@dataclass(frozen=True, slots=True)
class Node:
    """One entry. `folder` is a descriptor of the directory that holds it, open until the next entry is asked for."""

    path: str
    name: str
    kind: str  # file | directory | link | other
    folder: int


class Tree:
    """How to walk: with hidden names or not, with ignored ones or not, how deep."""

    def __init__(
        self, root: str, *, hidden: bool = False, ignored: bool = False, depth: int = MAX_DEPTH
    ) -> None:
        self._root = root
        self._hidden = hidden
        self._ignored = ignored
        self._depth = min(depth, MAX_DEPTH)

    def walk(self, start: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Iterator[Node]:
        """All entries below `start` (names from the root on, no links among them) that come after `after`."""
        opened = [os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            chain: Chain = () if self._ignored else self._exclude(opened[0])
            prefix = ""
            for name in start:
                chain = self._with_rules(opened[-1], prefix, chain)
                opened.append(os.open(name, _FOLDER, dir_fd=opened[-1]))
                prefix += f"{name}/"
            rest = after[len(start) :] if after[: len(start)] == start else ()
            yield from self._below(opened[-1], prefix, chain, 1, rest)
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def find(self, start: tuple[str, ...], paths: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Those files below `start` that a walk would come by: the path, and a descriptor, which is the receiver's to close.

        What lies together should come together: the directories on the way to a file stay open for the next.
        """
        names: list[str] = []
        opened = [os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            chain: Chain = () if self._ignored else self._exclude(opened[0])
            chains = [self._with_rules(opened[0], "", chain)]
            for path in paths:
                *folders, name = path.split("/")
                same = _shared(names, folders)
                for descriptor in opened[same + 1 :]:
                    os.close(descriptor)
                del names[same:], opened[same + 1 :], chains[same + 1 :]
                if not self._descend(folders, len(start), names, opened, chains):
                    continue
                if not self._is_left_out(name) and not _ignored(chains[-1], path, name, False):
                    file = _open_file(name, opened[-1])
                    if file is not None:
                        yield path, file
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _descend(
        self, folders: list[str], free: int, names: list[str], opened: list[int], chains: list[Chain]
    ) -> bool:
        """Go on to the directory, by those above it; the first `free` names may be hidden or ignored."""
        for level in range(len(names), len(folders)):
            name = folders[level]
            path = "/".join(folders[: level + 1])
            if level >= free and (self._is_left_out(name) or _ignored(chains[-1], path, name, True)):
                return False
            try:
                opened.append(os.open(name, _FOLDER, dir_fd=opened[-1]))
            except OSError:  # gone, or exchanged
                return False
            names.append(name)
            chains.append(self._with_rules(opened[-1], f"{path}/", chains[-1]))
        return True

    def _is_left_out(self, name: str) -> bool:
        return name == ".git" or name.startswith(TEMPORARY) or (name[0] == "." and not self._hidden)

    def _below(
        self, folder: int, prefix: str, chain: Chain, level: int, after: tuple[str, ...]
    ) -> Iterator[Node]:
        first = after[0] if after else ""
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name >= first or entry.name == ".gitignore"]
        if not self._ignored and any(entry.name == ".gitignore" for entry in found):
            chain = self._with_rules(folder, prefix, chain)
        found.sort(key=lambda entry: entry.name)
        for entry in found:
            name = entry.name
            if name < first or self._is_left_out(name):
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            path = prefix + name
            if chain and _ignored(chain, path, name, is_folder):
                continue
            if name != first:
                yield Node(path, name, _kind(entry, is_folder), folder)
            if is_folder and level < self._depth:
                yield from self._into(folder, name, path, chain, level, after[1:] if name == first else ())

    def _into(
        self, above: int, name: str, path: str, chain: Chain, level: int, after: tuple[str, ...]
    ) -> Iterator[Node]:
        try:
            folder = os.open(name, _FOLDER, dir_fd=above)
        except OSError:  # gone, exchanged, or not ours to read: nothing of it can be listed
            return
        try:
            yield from self._below(folder, f"{path}/", chain, level + 1, after)
        finally:
            os.close(folder)

    def _with_rules(self, folder: int, prefix: str, chain: Chain) -> Chain:
        if self._ignored:
            return chain
        rules = _rules(".gitignore", folder)
        return (*chain, (len(prefix), rules)) if rules else chain

    def _exclude(self, root: int) -> Chain:
        """What the clone itself ignores."""
        with suppress(OSError):
            git = os.open(".git", _FOLDER, dir_fd=root)
            try:
                info = os.open("info", _FOLDER, dir_fd=git)
            finally:
                os.close(git)
            try:
                rules = _rules("exclude", info)
            finally:
                os.close(info)
            if rules:
                return ((0, rules),)
        return ()


def _rules(name: str, folder: int) -> Rules:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return Rules(())
    with open(descriptor, "rb") as opened:
        try:
            return read(opened.read(_LARGEST_RULES).decode("utf-8", "surrogateescape"))
        except OSError:  # it is a directory
            return Rules(())


def _shared(one: list[str], other: list[str]) -> int:
    """How many names both begin with."""
    for level, (name, its) in enumerate(zip(one, other, strict=False)):
        if name != its:
            return level
    return min(len(one), len(other))


def _open_file(name: str, folder: int) -> int | None:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _ignored(chain: Chain, path: str, name: str, is_folder: bool) -> bool:
    for start, rules in reversed(chain):
        told = rules.decide(path[start:], name, is_folder)
        if told is not None:
            return told
    return False


def _kind(entry: os.DirEntry[str], is_folder: bool) -> str:
    if is_folder:
        return "directory"
    if entry.is_symlink():
        return "link"
    return "file" if entry.is_file(follow_symlinks=False) else "other"
