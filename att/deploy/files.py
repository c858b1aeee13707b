"""The files of an artefact: copied out of a project, listed with their digests, made read-only, and compared with the list later.

The list (`manifest`) names every file with its SHA-256, whether it can be executed, and every link with where it leads. The digest
of the artefact is that of the list and of what its environment holds. What an app writes beside its files later is not
looked at; what was built is. Hard links into uv's cache must not change, so in the environment only folders are made
read-only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from att import plain
from att.deploy.errors import ArtefactBroken, TooLarge
from att.runtime.recipe import FOLDER as ENVIRONMENT

MANIFEST = "manifest"
MOST_FILES = 100_000
MOST_BYTES = 4 << 30
LEFT_OUT = frozenset(
    {
        *(".git", ENVIRONMENT, ".venv.before", "venv", "__pycache__", ".pytest_cache", ".mypy_cache"),
        *(".ruff_cache", ".hypothesis", ".tox", ".nox", ".coverage", ".DS_Store"),
    }
)
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list holds, in short."""

    files: int
    size: int
    digest: str


def copy(source: Path, target: Path) -> None:
    """All of the project but what belongs to the place and not to the version. Links stay links."""
    files = size = 0
    for place, relative, found in _walk(source, LEFT_OUT):
        copied = target / relative
        if stat.S_ISDIR(found.st_mode):
            copied.mkdir(parents=True, exist_ok=True)
            continue
        files, size = files + 1, size + found.st_size
        if files > MOST_FILES or size > MOST_BYTES:
            raise TooLarge(f"more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB", files=files, size=size)
        try:
            if stat.S_ISLNK(found.st_mode):
                copied.symlink_to(place.readlink())
            else:
                shutil.copyfile(place, copied, follow_symlinks=False)
                copied.chmod(0o755 if found.st_mode & 0o111 else 0o644)
        except FileNotFoundError:
            continue  # it went while we looked: so it is not of this moment


def _walk(root: Path, without: frozenset[str]) -> Iterator[tuple[Path, str, os.stat_result]]:
    """Folders, files and links below `root`, in order; nothing else, and nothing through a link."""
    pending = [(root, "")]
    while pending:
        folder, above = pending.pop()
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208  (asked for every file: no Path is made for nothing)
        except FileNotFoundError:
            continue
        for name in names:
            if name in without:
                continue
            place, relative = folder / name, f"{above}{name}"
            try:
                found = os.lstat(place)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(found.st_mode):
                pending.append((place, f"{relative}/"))
            elif not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                continue
            yield place, relative, found


def listed(files: Path) -> tuple[str, Listed]:
    """The list of what is there, and its digest."""
    lines, size = [], 0
    for place, relative, found in _walk(files, frozenset({ENVIRONMENT, "__pycache__"})):
        if not stat.S_ISDIR(found.st_mode):
            lines.append(json.dumps([*_one(place, found), relative]))
            size += found.st_size
    text = "\n".join(sorted(lines)) + "\n"
    return text, Listed(len(lines), size, hashlib.sha256(text.encode()).hexdigest())


def _one(place: Path, found: os.stat_result) -> tuple[str, str]:
    if stat.S_ISLNK(found.st_mode):
        return "link", os.fspath(place.readlink())
    digest = hashlib.sha256()
    with plain.opened(place) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return ("program" if found.st_mode & 0o111 else "file"), digest.hexdigest()


def digest_of(manifest: str, packages: Mapping[str, str]) -> str:
    """Over the files and what the environment holds."""
    whole = hashlib.sha256(manifest.encode())
    whole.update(json.dumps(sorted(packages.items())).encode())
    return whole.hexdigest()


def verify(folder: Path, files: Path, packages: Mapping[str, str], digest: str) -> None:
    """Raises ArtefactBroken when it is not what was built."""
    name = folder.name
    try:
        manifest = (folder / MANIFEST).read_text("utf-8")
        if digest_of(manifest, packages) != digest:
            raise ArtefactBroken(f"{name}: its list or its environment was changed", artefact_id=name)
        for line in manifest.splitlines():
            kind, said, relative = json.loads(line)
            place = files / relative
            if (kind, said) != _one(place, place.lstat()):
                raise ArtefactBroken(f"{name}: {relative} was changed", artefact_id=name, file=relative)
    except (OSError, ValueError) as fault:
        raise ArtefactBroken(f"{name}: {fault}", artefact_id=name) from fault


def lock(files: Path) -> None:
    """Nobody writes here by mistake any more."""
    for folder, folders, names in os.walk(files, topdown=False):
        inside = ENVIRONMENT in Path(folder).relative_to(files).parts
        for name in () if inside else names:
            place = Path(folder, name)
            if not place.is_symlink():
                place.chmod(stat.S_IMODE(place.lstat().st_mode) & ~0o222)
        for name in folders:
            place = Path(folder, name)
            if not place.is_symlink():
                place.chmod(stat.S_IMODE(place.lstat().st_mode) & ~0o222)
    files.chmod(stat.S_IMODE(files.stat().st_mode) & ~0o222)


def seal(place: Path, content: Mapping[str, Any]) -> None:
    """The last file: with it the artefact is whole."""
    draft = place.with_name(f".{place.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(place)
    parent = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
