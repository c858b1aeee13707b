"""A project as one archive, made while it is sent: nothing is kept on the way, and nothing that is not the project's.

Two exports of equal files are equal byte for byte: entries in the order of their paths, one time for all, no owner. Left out are
what `.gitignore` leaves out, Python environments, links that lead out, and `.git` unless it is asked for (then without what could
hold a secret or run a program). Everything lies below one directory of the project's name.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from att.code.tree import Node, Tree
from att.confine import Inside
from att.problems import Problem
from att.project.errors import ExportTooLarge
from att.project.models import ExportedProject, ExportProject

SMALL = 8 << 20
"""Bytes of an archive that may stand in a JSON answer."""
_WHEN = 315_532_800  # 1980-01-01, the first day that zip knows
_PIECE = 256 * 1024
_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
_LEFT_OUT = (
    ".git/hooks",
    ".git/config",
    ".git/config.worktree",
    ".git/worktrees",
    ".git/modules",
    ".git/objects/info/alternates",
)


class Packer(Protocol):
    """One kind of archive that is being written."""

    def file(self, name: str, size: int, executable: bool, source: IO[bytes]) -> None: ...
    def link(self, name: str, target: str) -> None: ...
    def folder(self, name: str) -> None: ...
    def end(self) -> None: ...
    def abandon(self) -> None:
        """Write nothing more, not even an end."""


async def export(
    folder: Path, name: str, *, kind: str, git: bool, ignored: bool
) -> AsyncGenerator[bytes, None]:
    """The pieces of the archive; a thread writes them into a pipe, as fast as they are taken."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with os.fdopen(writing, "wb", buffering=_PIECE) as sink:
                packer: Packer = Zip(sink) if kind == "zip" else TarGz(sink)
                try:
                    _pack(folder, name, packer, git=git, ignored=ignored)
                    packer.end()
                finally:
                    packer.abandon()
        except BrokenPipeError:
            return  # nobody wants the rest
        except Exception as error:  # told to whoever takes the pieces
            failed.append(error)

    reader = asyncio.StreamReader(limit=_PIECE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
    )
    thread = threading.Thread(target=work, name=f"export {name}", daemon=True)
    thread.start()
    try:
        while piece := await reader.read(_PIECE):
            yield piece
    finally:
        transport.close()
    await asyncio.to_thread(thread.join)
    if failed:
        raise failed[0]


async def whole(pieces: AsyncIterator[bytes], ask: ExportProject) -> ExportedProject:
    """A small archive in one piece."""
    found = bytearray()
    try:
        async for piece in pieces:
            found += piece
            if len(found) > SMALL:
                raise ExportTooLarge(f"The archive is larger than {SMALL >> 20} MiB.")
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
    return ExportedProject(
        project_id=ask.project_id,
        file_name=f"{ask.project_id}.{ask.format}",
        format=ask.format,
        size=len(found),
        sha256=hashlib.sha256(found).hexdigest(),
        content=base64.b64encode(found).decode(),
    )


def _pack(folder: Path, name: str, packer: Packer, *, git: bool, ignored: bool) -> None:
    inside = Inside(folder)
    packer.folder(name)
    skipped = "\0"
    for node in Tree(str(inside.root), hidden=True, ignored=ignored).walk():
        if node.path.startswith(skipped):
            continue
        if node.kind == "directory" and _is_environment(node):
            skipped = f"{node.path}/"
            continue
        _add(inside, packer, node, name, node.path)
    if git and stat.S_ISDIR(_mode(inside.root / ".git")):
        packer.folder(f"{name}/.git")
        for node in _of_git(inside.root / ".git"):
            _add(Inside(inside.root / ".git"), packer, node, name, f".git/{node.path}")
        _add_bytes(packer, f"{name}/.git/config", _CONFIG)


def _of_git(folder: Path) -> Iterator[Node]:
    for node in Tree(str(folder), hidden=True, ignored=True).walk():
        if node.kind != "link" and not f".git/{node.path}/".startswith(
            tuple(f"{each}/" for each in _LEFT_OUT)
        ):
            yield node


def _add(inside: Inside, packer: Packer, node: Node, name: str, path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return  # a name that is no text travels nowhere safely
    if node.kind == "directory":
        packer.folder(f"{name}/{path}")
    elif node.kind == "link":
        with suppress(Problem, OSError):
            inside.resolve(node.path)  # raises when it leads out
            target = os.readlink(node.name, dir_fd=node.folder)
            if not target.startswith("/"):
                packer.link(f"{name}/{path}", target)
    elif node.kind == "file":
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(node.name, flags, dir_fd=node.folder)
        except OSError:
            return  # gone since, or not ours to read
        with open(descriptor, "rb") as source:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode):
                packer.file(f"{name}/{path}", found.st_size, bool(found.st_mode & 0o111), source)


def _add_bytes(packer: Packer, name: str, data: bytes) -> None:
    packer.file(name, len(data), False, io.BytesIO(data))


def _is_environment(node: Node) -> bool:
    """Whether a directory is a Python environment, which is made anew elsewhere."""
    with suppress(OSError):
        return stat.S_ISREG(
            os.stat(f"{node.name}/pyvenv.cfg", dir_fd=node.folder, follow_symlinks=False).st_mode
        )
    return False


def _mode(path: Path) -> int:
    with suppress(OSError):
        return os.lstat(path).st_mode
    return 0


class _Exactly:
    """As many bytes as were promised, though the file grows or shrinks meanwhile."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self._source = source
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._source.read(wanted) or b"\0" * wanted
        self._left -= len(piece)
        return piece


class TarGz:
    def __init__(self, sink: IO[bytes]) -> None:
        self._gzip = gzip.GzipFile(filename="", fileobj=sink, mode="wb", compresslevel=6, mtime=0)
        self._tar = tarfile.open(fileobj=self._gzip, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def file(self, name: str, size: int, executable: bool, source: IO[bytes]) -> None:
        info = self._info(name, tarfile.REGTYPE, 0o755 if executable else 0o644)
        info.size = size
        self._tar.addfile(info, _Exactly(source, size))

    def link(self, name: str, target: str) -> None:
        info = self._info(name, tarfile.SYMTYPE, 0o777)
        info.linkname = target
        self._tar.addfile(info)

    def folder(self, name: str) -> None:
        self._tar.addfile(self._info(name, tarfile.DIRTYPE, 0o755))

    def end(self) -> None:
        self._tar.close()
        self._gzip.close()

    def abandon(self) -> None:
        """Neither of the two writes anything by itself."""

    def _info(self, name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = kind, mode, _WHEN
        return info


class Zip:
    def __init__(self, sink: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(_OneWay(sink), "w", zipfile.ZIP_DEFLATED, compresslevel=6)  # type: ignore[call-overload]

    def file(self, name: str, size: int, executable: bool, source: IO[bytes]) -> None:
        info = self._info(name, stat.S_IFREG | (0o755 if executable else 0o644))
        info.compress_type = zipfile.ZIP_DEFLATED
        promised = _Exactly(source, size)
        with self._zip.open(info, "w", force_zip64=size >= 1 << 31) as target:
            while piece := promised.read(_PIECE):
                target.write(piece)

    def link(self, name: str, target: str) -> None:
        self._zip.writestr(self._info(name, stat.S_IFLNK | 0o777), os.fsencode(target))

    def folder(self, name: str) -> None:
        self._zip.writestr(self._info(f"{name}/", stat.S_IFDIR | 0o755), b"")

    def end(self) -> None:
        self._zip.close()

    def abandon(self) -> None:
        self._zip.fp = None

    def _info(self, name: str, mode: int) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        info.create_system = 3
        info.external_attr = mode << 16
        return info


class _OneWay:
    """A file that is only written to, for zip to take it as one that cannot go back."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.write = sink.write
        self.flush = sink.flush
