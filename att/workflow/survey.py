"""What a change will do, found out before anything is done: each path as it is and as it will be, both kept in a folder outside.

A patch is applied to copies of the files that it speaks of; so what is put into the tree later are whole files, in the same way
for both kinds of change.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path

from att.confine import FileMissing, FileUnavailable, Inside, PathOutsideProject
from att.git.command import git
from att.git.errors import GitFailed
from att.store.errors import DiskFull
from att.workflow.changes import Change, ChangeTest
from att.workflow.errors import InvalidChange, NothingToChange, PatchRefused
from att.workflow.tree import Entry, missing_folders, real_path, save
from att.workflow.undoing import ABSENT, State, paths_of

MOST_PATHS = 1000


async def survey(folder: Path, place: Path, ask: ChangeTest) -> list[Entry]:
    """All paths of the change. `place` is made anew and holds `before-N` and `after-N` of each."""
    inside = Inside(folder)
    try:
        await asyncio.to_thread(_empty, place)
        if ask.patch is None:
            found = await asyncio.to_thread(_of_changes, inside, place, ask.changes)
        else:
            found = await _of_patch(inside, place, ask.patch)
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else FileUnavailable
        raise kind(f"How the files are now cannot be kept: {error.strerror or error}.") from error
    if not any(entry.before != entry.after for entry in found):
        raise NothingToChange("Every file is as it is to be already.")
    return found


def forget(place: Path) -> None:
    """What was kept for a change is not needed any more."""
    shutil.rmtree(place, ignore_errors=True)


def _empty(place: Path) -> None:
    forget(place)
    place.mkdir(parents=True, mode=0o700)


def _of_changes(inside: Inside, place: Path, changes: list[Change]) -> list[Entry]:
    found: dict[str, Entry] = {}
    for number, change in enumerate(changes):
        path = real_path(inside, change.path, follow=not change.delete)
        if path in found:
            raise InvalidChange(
                f"{path!r} is named twice.",
                fields=[{"field": f"changes.{number}.path", "message": "named twice"}],
            )
        before, mtime = save(inside, path, place / f"before-{number}")
        if change.delete and before == ABSENT:
            raise FileMissing(f"There is no {path[:200]!r} to delete.")
        after = ABSENT if change.delete else _after(change, number, before, place)
        folders = missing_folders(inside, path) if after != ABSENT else ()
        found[path] = Entry(path, before, after, mtime, folders)
    return list(found.values())


def _after(change: Change, number: int, before: State, place: Path) -> State:
    data = _bytes(change, number)
    (place / f"after-{number}").write_bytes(data)
    mode = before.mode if before.kind == "file" else 0o644
    if change.executable is not None:
        mode = mode | (mode & 0o444) >> 2 if change.executable else mode & ~0o111
    return State("file", mode, hashlib.sha256(data).hexdigest())


def _bytes(change: Change, number: int) -> bytes:
    text = change.content or ""
    try:
        return base64.b64decode(text, validate=True) if change.base64 else text.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        told = [{"field": f"changes.{number}.content", "message": str(error)}]
        raise InvalidChange(f"The content of {change.path[:200]!r} cannot be read.", fields=told) from None


async def _of_patch(inside: Inside, place: Path, patch: str) -> list[Entry]:
    scratch = place / "scratch"
    named = await asyncio.to_thread(_copies, inside, place, scratch, paths_of(patch))
    data = patch.encode() if patch.endswith("\n") else patch.encode() + b"\n"
    try:
        await git(scratch, "apply", "--whitespace=nowarn", "-", stdin=data)
    except GitFailed as failed:
        said = str(failed.extra.get("err") or failed.detail)[:2000]
        raise PatchRefused(said.splitlines()[0] if said else "git refuses the patch.", said=said) from None
    return await asyncio.to_thread(_results, inside, place, scratch, named)


def _copies(
    inside: Inside, place: Path, scratch: Path, paths: list[str]
) -> dict[str, tuple[str, State, int]]:
    """Copies of what the patch speaks of; by the name in the patch: the real path, its state and time."""
    scratch.mkdir()
    if not paths or len(paths) > MOST_PATHS:
        raise PatchRefused(f"The patch speaks of {len(paths)} files; it must be 1 to {MOST_PATHS}.")
    found: dict[str, tuple[str, State, int]] = {}
    for number, path in enumerate(paths):
        real = real_path(inside, path, follow=False)
        blob = place / f"before-{number}"
        before, mtime = save(inside, real, blob)
        found[path] = (real, before, mtime)
        copy = scratch / path
        if before != ABSENT:
            copy.parent.mkdir(parents=True, exist_ok=True)
        if before.kind == "link":
            copy.symlink_to(os.fsdecode(blob.read_bytes()))
        elif before.kind == "file":
            shutil.copyfile(blob, copy)
            copy.chmod(before.mode)
    return found


def _results(
    inside: Inside, place: Path, scratch: Path, named: dict[str, tuple[str, State, int]]
) -> list[Entry]:
    there = {
        str(file.relative_to(scratch))
        for file in scratch.rglob("*")
        if file.is_symlink() or not file.is_dir()
    }
    if not there <= named.keys():
        raise PatchRefused("The patch makes files that its headers do not name.", said="")
    found = []
    for number, (path, (real, before, mtime)) in enumerate(named.items()):
        after = _result(scratch / path, real, before, place / f"after-{number}") if path in there else ABSENT
        folders = missing_folders(inside, real) if after != ABSENT else ()
        found.append(Entry(real, before, after, mtime, folders))
    shutil.rmtree(scratch)
    return found


def _result(file: Path, real: str, before: State, blob: Path) -> State:
    """What the patch made of a file; its mode is that of the file before but for the bits to execute it by."""
    if file.is_symlink():
        target = str(file.readlink())
        if target.startswith("/") or os.path.normpath(f"{real}/../{target}").split("/")[0] == "..":
            raise PathOutsideProject(f"The link {real[:200]!r} would lead out of the project.")
        blob.write_bytes(os.fsencode(target))
        return State("link", 0, hashlib.sha256(os.fsencode(target)).hexdigest())
    shutil.copyfile(file, blob)
    mode = stat.S_IMODE(file.stat().st_mode)
    if before.kind == "file" and bool(before.mode & 0o100) == bool(mode & 0o100):
        mode = before.mode
    elif before.kind != "file":
        mode = 0o755 if mode & 0o100 else 0o644
    with blob.open("rb") as copied:
        return State("file", mode, hashlib.file_digest(copied, "sha256").hexdigest())
