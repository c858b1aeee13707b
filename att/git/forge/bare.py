"""Where the local forge keeps a project's branches: the bare repository that is its remote, or one of ATT's own.

A remote `origin` that is a bare repository on this machine (below an allowed root) is the forge: what counts is what was pushed to
it. For every other project ATT makes one below ATT_HOME/forge, which becomes a remote of the project (`origin` when it has none,
else `att`) with the first pull request or the first push of a project that has no remote. A pull request takes its branch along
from the project by itself, and as `origin` the branches of the project follow it.

It goes with the project's files, since it is their remote: when a project is deleted and its folder stays (`keep_files`, or the
folder was there before ATT), it stays with it, and is taken up again when the folder is registered anew. A project of the same
name in another folder never gets it.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from att.git.errors import GitFailed, RemoteRefused
from att.git.forge import work
from att.git.forge.remote import local_path
from att.git.forge.said import git
from att.git.place import LeadsElsewhere, find
from att.project.files import remove_tree
from att.project.models import Project
from att.store.errors import DiskFull

MARK = "att.json"
_FILE = ("file",)


@dataclass(frozen=True, slots=True)
class Bare:
    """`own`: made by ATT."""

    folder: Path
    own: bool


class Shelf:
    """The bare repositories of all projects."""

    def __init__(self, home: Path, roots: Sequence[Path]) -> None:
        self._folder = home / "forge"
        self._roots = roots

    def path(self, project_id: str) -> Path:
        return self._folder / f"{project_id}.git"

    async def find(self, project: Project, remote: str | None) -> Bare | None:
        """The project's bare repository; None when there is none yet."""
        theirs = await asyncio.to_thread(self._theirs, project, remote)
        if theirs is not None:
            return Bare(theirs, own=False)
        path = self.path(project.id)
        known = await asyncio.to_thread(_mark_of, path)
        return Bare(path, own=True) if known is not None and known["path"] == project.path else None

    async def make(self, project: Project, remote: str | None) -> Bare:
        """The same, made when there is none."""
        found = await self.find(project, remote)
        if found is None:
            path = self.path(project.id)
            try:
                await asyncio.to_thread(_clear, path)
                await asyncio.to_thread(path.mkdir, parents=True)
                first = await _first_branch(Path(project.path))
                await git(path, "init", "--quiet", "--bare", f"--initial-branch={first}")
                mark = json.dumps({"path": project.path})
                await asyncio.to_thread((path / MARK).write_text, mark, "utf-8")
            except OSError as error:
                kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else GitFailed
                raise kind(f"{path}: {error.strerror}.") from error
            found = Bare(path, own=True)
        if found.own:
            await _make_known(Path(project.path), found.folder, remote)
        return found

    async def take_along(self, bare: Bare, folder: Path, head: str, base: str | None) -> None:
        """Into a repository of ATT's own: the branch as the project has it, and a base when there is none yet."""
        if not bare.own:
            return
        there, here = await work.tips(bare.folder), await work.tips(folder)
        wanted = base or await self.default_branch(bare, here, head)
        names = [head] if head in here else []
        names += [wanted] if wanted in here and wanted not in there else []
        if names:
            specs = [f"refs/heads/{name}:refs/heads/{name}" for name in names]
            await git(
                bare.folder,
                "fetch",
                "--quiet",
                "--no-tags",
                "--",
                str(folder),
                *specs,
                check=False,
                protocols=_FILE,
            )
        if wanted in here and not there:
            await git(bare.folder, "symbolic-ref", "HEAD", f"refs/heads/{wanted}")
        await self.follow(bare, folder, {head, wanted} & here.keys())

    async def follow(self, bare: Bare, folder: Path, names: Collection[str]) -> None:
        """Let branches that follow none follow those of the forge, when it is the project's `origin`."""
        if await work.origin(folder) != str(bare.folder):
            return
        for name in sorted((await work.tips(bare.folder)).keys() & set(names)):
            if (await git(folder, "config", f"branch.{name}.merge", check=False)).code == 0:
                continue
            spec = f"+refs/heads/{name}:refs/remotes/origin/{name}"
            words = ("fetch", "--quiet", "--no-tags", "origin", spec)
            await git(folder, *words, check=False, protocols=_FILE)
            await git(
                folder, "branch", "--quiet", f"--set-upstream-to=origin/{name}", "--", name, check=False
            )

    def clear(self, gone: Callable[[Path], bool]) -> bool:
        """Remove those whose project's folder is `gone`; False when not all of it could be removed."""
        paths = sorted(self._folder.glob("*.git")) if self._folder.is_dir() else []
        marks = ((path, _mark_of(path)) for path in paths)
        found = [path for path, mark in marks if mark is not None and gone(Path(mark["path"]))]
        return not [path for path in found if not remove_tree(path)]

    async def default_branch(self, bare: Bare, others: dict[str, str] | None = None, head: str = "") -> str:
        """Where pull requests go when nothing is said: HEAD of the repository, else what is usual."""
        known = await work.tips(bare.folder) or others or {}
        pointed = (await git(bare.folder, "symbolic-ref", "--short", "HEAD", check=False)).text.strip()
        usual = [name for name in (pointed, "main", "master", "dev") if name in known]
        return next(iter([*usual, *sorted(known.keys() - {head})]), pointed or "main")

    def _theirs(self, project: Project, remote: str | None) -> Path | None:
        path = local_path(remote) if remote else None
        if path is None:
            return None
        folder = Path(os.path.realpath(Path(project.path, path)))
        if folder.is_relative_to(os.path.realpath(self._folder)) or not folder.is_dir():
            return None
        try:
            place = find(folder)
        except LeadsElsewhere as error:
            raise RemoteRefused(f"The remote `origin`: {error}.") from error
        if place is None or place.work_tree is not None:
            return None
        if not any(folder.is_relative_to(os.path.realpath(root)) for root in self._roots):
            raise RemoteRefused(f"{folder}, the remote `origin`, lies in none of the allowed roots.")
        return folder


def _mark_of(path: Path) -> dict[str, str] | None:
    """Whose it is; None when it is not there or was not made wholly."""
    try:
        found: dict[str, str] = json.loads((path / MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found


async def _first_branch(folder: Path) -> str:
    """The branch that others get when they clone what was made of this folder."""
    here = await work.tips(folder)
    on = (await git(folder, "symbolic-ref", "--quiet", "--short", "HEAD", check=False)).text.strip()
    return next((name for name in ("main", "master", "dev", on) if name in here), "main")


def _clear(path: Path) -> None:
    """Make room: what belonged to a folder that is gone goes, what belongs to one that is there is moved aside."""
    if not path.exists():
        return
    known = _mark_of(path)
    if known is None or not Path(known["path"]).exists():
        remove_tree(path)
        return
    number = next(n for n in range(1, 10_000) if not path.with_name(f"{path.stem}.{n}.git").exists())
    path.rename(path.with_name(f"{path.stem}.{number}.git"))


async def _make_known(folder: Path, bare: Path, remote: str | None) -> None:
    """So that push, fetch and pull of the project know it by a name."""
    urls = (await git(folder, "config", "--get-regexp", r"^remote\..*\.url$", check=False)).text
    if str(bare) not in (line.partition(" ")[2] for line in urls.splitlines()):
        await git(folder, "remote", "add", "att" if remote else "origin", str(bare), check=False)
