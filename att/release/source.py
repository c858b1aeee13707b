"""Where a release is made from: a folder with ATT's source, or a commit of its repository.

git runs as the user's own, but nothing that a repository's settings name is run: no hooks, no monitor, no pager. What comes
from outside is never taken for an option. A folder under git is taken as it lies there, uncommitted changes included, without
what git ignores; the commit is named only when nothing differs from it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import ParamSpec, TypeVar

from att import plain
from att.git import process
from att.release import errors, recipe
from att.release.disk import Disk, write_file

GIT = (
    "git",
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.pager=cat"),
    *("-c", "protocol.ext.allow=never", "-c", "tar.umask=0077"),
)
GIT_TIMEOUT = 60.0
IGNORED = frozenset({".git", ".venv", "venv", "node_modules", ".run", ".cache", "build", "dist"})
LARGEST = 64 << 20
P = ParamSpec("P")
T = TypeVar("T")
FILES = 20_000


class Stopped(Exception):
    """The copying was told to stop."""


@dataclass(frozen=True, slots=True)
class Source:
    """`commit` is named when the source equals it; `archive`, when it is taken out of the repository at `place`."""

    place: Path
    told: str
    origin: str  # hexadecimal, for the id
    version: str
    commit: str | None = None
    archive: bool = False
    files: tuple[str, ...] = ()
    under_git: bool = False


async def find(told: str, repository: Path | None) -> Source:
    """The source that is meant; a problem of `att.release.errors` when there is none. A path begins with `/`."""
    if told.startswith(("/", "~")):
        return await _folder(Path(told).expanduser(), told)  # noqa: ASYNC240  looks up no file
    if told.startswith("-") or "\0" in told or "\n" in told:
        raise errors.SourceNotFound(f"{told[:100]!r} is neither an absolute path nor a commit.")
    if repository is None:
        raise errors.NoRepository(f"{told[:100]!r} is no absolute path, and no repository is known.")
    return await _commit(told, repository)


async def _commit(told: str, repository: Path) -> Source:
    if not repository.is_absolute() or not os.path.isdir(repository):  # noqa: ASYNC240, PTH112  a moment
        raise errors.NoRepository(f"{str(repository)[:200]} is no absolute path of a folder.")
    code, said, why = await git(repository, "rev-parse", "--verify", "--end-of-options", f"{told}^{{commit}}")
    if code:
        kind = errors.NoRepository if "not a git repository" in why else errors.SourceNotFound
        raise kind(f"{told[:100]!r} in {repository}: {_first(why)}")
    commit = said.decode().strip()
    version, fault = recipe.fault_of(
        await _shown(repository, commit, recipe.PROJECT), await _shown(repository, commit, recipe.LOCK)
    )
    if fault:
        raise errors.SourceInvalid(f"Commit {commit[:12]} is not the source of ATT: {fault}.")
    return Source(repository, told, commit, version, commit, archive=True, under_git=True)


async def _shown(repository: Path, commit: str, name: str) -> bytes | None:
    code, said, _ = await git(repository, "cat-file", "blob", f"{commit}:{name}")
    return None if code else said


async def _folder(folder: Path, told: str) -> Source:
    if not folder.is_absolute() or not os.path.isdir(folder):  # noqa: ASYNC240, PTH112  a moment
        raise errors.SourceNotFound(f"{str(folder)[:200]} is no folder.")
    version, fault = recipe.fault_of(_content(folder / recipe.PROJECT), _content(folder / recipe.LOCK))
    if fault:
        raise errors.SourceInvalid(f"{folder} is not the source of ATT: {fault}.")
    names, commit = await _under_git(folder)
    under_git = names is not None
    files = tuple(names if names is not None else await asyncio.to_thread(walk, folder, IGNORED))
    if len(files) > FILES:
        raise errors.SourceInvalid(f"{folder} holds {len(files)} files, more than {FILES}.")
    origin = commit if commit is not None else await asyncio.to_thread(digest, folder, files)
    return Source(folder, told, origin, version, commit, files=files, under_git=under_git)


async def _under_git(folder: Path) -> tuple[list[str] | None, str | None]:
    """The files that git would keep, and the commit that they equal; None and None where there is no git."""
    code, listed, _ = await git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if code:
        return None, None
    names = [os.fsdecode(name) for name in listed.split(b"\0") if name]
    changed, status, _ = await git(
        folder, "status", "--porcelain", "-z", "--untracked-files=normal", "--", "."
    )
    head, said, _ = await git(folder, "rev-parse", "--verify", "HEAD^{commit}")
    same = not changed and not head and not status
    return sorted(name for name in names if _there(folder / name)), said.decode().strip() if same else None


async def git(folder: Path, *words: str) -> tuple[int, bytes, str]:
    """git in `folder`: exit code, what it said, what it complained."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "ATT_"))}
    env |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    argv = [*GIT, "-C", str(folder), *words]
    try:
        ended = await process.run(argv, cwd=Path("/"), env=env, timeout=GIT_TIMEOUT, limit=LARGEST)
    except FileNotFoundError:
        raise errors.GitFailed("There is no git on the PATH of the daemon.") from None
    except TimeoutError:
        raise errors.GitFailed(f"git {words[0]} was not done after {GIT_TIMEOUT:g} s.") from None
    if ended.overflowed:
        raise errors.GitFailed(f"git {words[0]} said more than {LARGEST >> 20} MiB.")
    return ended.code, ended.out, ended.said.decode("utf-8", "replace")


async def fetch(source: Source, folder: Path, disk: Disk, stop: Event) -> None:
    """Put the source into `folder`, which does not exist; its parent does."""
    if source.archive:
        packed = folder.with_suffix(".tar")
        words = ("archive", "--format=tar", f"--output={packed}", str(source.commit))
        code, _, why = await git(source.place, *words)
        if code:
            raise errors.GitFailed(f"git archive: {_first(why)}")
        await in_thread(stop, _unpack, packed, folder, disk, stop)
    else:
        await in_thread(stop, _copy, source, folder, disk, stop)


async def in_thread(stop: Event, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """`work` in a thread; a cancelled caller stops it first and waits for its end."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *given, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        raise


def _copy(source: Source, folder: Path, disk: Disk, stop: Event) -> None:
    maker = _Maker(folder, disk, stop)
    for name in source.files:
        path = source.place / name
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            maker.link(name, str(path.readlink()))
        elif stat.S_ISREG(found.st_mode):
            if found.st_size > LARGEST:
                raise errors.SourceInvalid(f"{name} is larger than {LARGEST >> 20} MiB.")
            maker.file(name, path.read_bytes(), bool(found.st_mode & 0o100))


def _unpack(packed: Path, folder: Path, disk: Disk, stop: Event) -> None:
    maker = _Maker(folder, disk, stop)
    with tarfile.open(packed, "r:") as archive:
        for member in archive:
            if member.issym():
                maker.link(member.name, member.linkname)
            elif member.isreg():
                if member.size > LARGEST:
                    raise errors.SourceInvalid(f"{member.name} is larger than {LARGEST >> 20} MiB.")
                content = archive.extractfile(member)
                maker.file(member.name, content.read() if content else b"", bool(member.mode & 0o100))
    disk.unlink(packed)


class _Maker:
    """Makes files below a folder, and nowhere else."""

    def __init__(self, folder: Path, disk: Disk, stop: Event) -> None:
        self._folder, self._disk, self._stop = folder, disk, stop
        self._made: set[Path] = set()
        self._room(folder)

    def file(self, name: str, content: bytes, executable: bool) -> None:
        write_file(self._disk, self._place(name), content, 0o700 if executable else 0o600)

    def link(self, name: str, target: str) -> None:
        place = self._place(name)
        leads = Path(os.path.normpath(place.parent / target))
        if Path(target).is_absolute() or not leads.is_relative_to(self._folder):
            raise errors.SourceInvalid(f"{name} is a link that leads out of the source.")
        self._disk.symlink(target, place)

    def _place(self, name: str) -> Path:
        if self._stop.is_set():
            raise Stopped
        parts = Path(name).parts
        if not parts or ".." in parts or Path(name).is_absolute():
            raise errors.SourceInvalid(f"{name!r} leads out of the source.")
        place = self._folder / name
        self._room(place.parent)
        return place

    def _room(self, folder: Path) -> None:
        if folder in self._made:
            return
        if folder != self._folder:
            self._room(folder.parent)
        self._disk.make_folder(folder)  # never there before: so no link is ever followed
        self._made.add(folder)


def digest(folder: Path, names: Iterable[str]) -> str:
    """Of these files below `folder`: names, kinds, contents."""
    whole = hashlib.sha256()
    for name in names:
        path = folder / name
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            kind, content = b"l", hashlib.sha256(os.fsencode(path.readlink()))
        else:
            kind = b"x" if found.st_mode & 0o100 else b"f"
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256")
        whole.update(kind + os.fsencode(name) + b"\0" + content.digest())
    return whole.hexdigest()


def walk(folder: Path, ignored: Collection[str]) -> list[str]:
    """The files and links below `folder`, by name; without byte code, which running writes, and the folders ignored."""
    found = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = [name for name in folders if name not in ignored and name != "__pycache__"]
        for name in (*files, *links):
            path = Path(place, name)
            if not name.endswith(".pyc") and _there(path):
                found.append(str(path.relative_to(folder)))
    return sorted(found)


def _content(path: Path) -> bytes | None:
    try:
        return plain.content(path, LARGEST)
    except OSError:
        return None


def _there(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISLNK(found.st_mode) or stat.S_ISREG(found.st_mode)


def _first(said: str) -> str:
    line = next((line for line in said.splitlines() if line.strip()), "git gave no reason")
    return line.removeprefix("fatal: ")[:300]


def own_repository(description: Mapping[str, object] | None, package: Path) -> Path | None:
    """The clone that ATT came from: as the release remembers it, or the one that its package lies in."""
    remembered = (description or {}).get("repository")
    if isinstance(remembered, str) and Path(remembered).is_dir():
        return Path(remembered)
    root = package.parent
    return root if (root / ".git").exists() else None
