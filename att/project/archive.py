"""Unpacking an archive of unknown origin into a directory of its own.

Every entry goes through `Contents`, which decides; bytes are counted as they come out, not as the archive says. Links are made
last, so that nothing is ever written through one, and looked at once more when all stand: one that leads out refuses the whole.
What was unpacked by then is the caller's to remove.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from att.project.archive_names import LIMITS, MIB, Contents, Limits, may_point_to
from att.project.errors import ArchiveRefused, ArchiveTooLarge, DownloadTimedOut, NotAnArchive

PIECE = 256 * 1024
_HEADER = 1 * MIB
_DIRECTORY_OF_ZIP = 64 * MIB
_PLAIN_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"


class Unpacking:
    """One archive on its way into `folder`, which is made."""

    def __init__(self, archive: IO[bytes], folder: Path, *, deadline: float, limits: Limits = LIMITS) -> None:
        self._archive = archive
        self._folder = folder
        self._deadline = deadline
        self.percent = 0
        self._packed = os.fstat(archive.fileno()).st_size
        self._contents = Contents(self._packed, limits)
        self._made: set[tuple[str, ...]] = set()
        self._links: list[tuple[tuple[str, ...], str]] = []

    def run(self) -> None:
        """Unpack. Problems are raised; then some of it may be there."""
        if self._packed > LIMITS.packed:
            raise ArchiveTooLarge(f"The archive is larger than {LIMITS.packed // MIB} MiB.")
        self._archive.seek(0)
        start = self._archive.read(512)
        self._archive.seek(0)
        self._folder.mkdir()
        try:
            if start[:4] in (b"PK\3\4", b"PK\5\6"):
                self._zip()
            elif start[:2] == b"\x1f\x8b":
                self._tar(gzip.GzipFile(fileobj=self._archive))
            elif start[:3] == b"BZh":
                self._tar(bz2.BZ2File(self._archive))
            elif start[257:262] == b"ustar":
                self._tar(self._archive)
            else:
                raise NotAnArchive("It is neither zip nor tar (plain, gz or bz2).")
        except (
            tarfile.TarError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            struct.error,
            lzma.LZMAError,
        ) as error:
            raise NotAnArchive(f"The archive is damaged: {str(error)[:200]}.") from error
        except (gzip.BadGzipFile, NotImplementedError, ValueError, RecursionError) as error:
            raise NotAnArchive(f"The archive cannot be read: {str(error)[:200]}.") from error
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # these are of what unpacks, the others of our disk
                raise
            raise NotAnArchive(f"The archive is damaged: {str(error)[:200]}.") from error
        self._make_links()
        _plain_git(self._folder)

    def stop(self) -> None:
        """End soon, with a problem."""
        self._deadline = -1.0

    def _tar(self, stream: Any) -> None:
        counted = _Counted(stream, self._beat)
        with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Info) as tar:  # type: ignore[call-overload]  # it reads only
            for info in tar:
                self._beat(0)
                if info.issym():
                    self._link(info.name, info.linkname)
                elif info.isdir():
                    self._make(self._contents.entry(info.name, "directory"))
                elif info.isreg() and not info.issparse():
                    source = tar.extractfile(info)
                    parts = self._contents.entry(info.name, "file")
                    if parts is not None and source is not None:
                        self._write(parts, source, bool(info.mode & 0o111))
                else:
                    raise ArchiveRefused(f"{info.name[:200]!r} is neither a file, a directory nor a link.")
        while counted.read(PIECE):
            pass  # what stands behind the end is counted too

    def _zip(self) -> None:
        _check_directory(self._archive, self._packed)
        with zipfile.ZipFile(self._archive) as packed:
            for info in packed.infolist():
                self._beat(0)
                kind = stat.S_IFMT(info.external_attr >> 16)
                if info.flag_bits & 1:
                    raise ArchiveRefused("The archive is encrypted.")
                if kind == stat.S_IFLNK:
                    if info.file_size > 4096:
                        raise ArchiveRefused(f"The link {info.filename[:200]!r} is too long.")
                    self._link(info.filename, os.fsdecode(packed.read(info)))
                elif info.is_dir():
                    self._make(self._contents.entry(info.filename, "directory"))
                elif kind in (0, stat.S_IFREG):
                    parts = self._contents.entry(info.filename, "file")
                    if parts is not None:
                        with packed.open(info) as source:
                            self._write(parts, source, bool(info.external_attr >> 16 & 0o111), count=True)
                else:
                    raise ArchiveRefused(
                        f"{info.filename[:200]!r} is neither a file, a directory nor a link."
                    )

    def _beat(self, size: int) -> None:
        """So many bytes have come out; raises when that, or the time, is too much."""
        if size:
            self._contents.count(size)
        if time.monotonic() > self._deadline:
            raise DownloadTimedOut("Unpacking took too long.")
        self.percent = min(100, 100 * self._archive.tell() // max(self._packed, 1))

    def _make(self, parts: tuple[str, ...] | None) -> None:
        if parts and parts not in self._made:
            self._folder.joinpath(*parts).mkdir(parents=True, exist_ok=True)
            self._made.add(parts)

    def _write(
        self, parts: tuple[str, ...], source: IO[bytes], executable: bool, *, count: bool = False
    ) -> None:
        self._make(parts[:-1])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._folder.joinpath(*parts), flags, 0o777 if executable else 0o666)
        with open(descriptor, "wb") as target:
            while piece := source.read(PIECE):
                self._beat(len(piece) if count else 0)
                target.write(piece)

    def _link(self, name: str, target: str) -> None:
        parts = self._contents.entry(name, "link")
        if parts is not None:
            may_point_to(parts, target)
            self._links.append((parts, target))

    def _make_links(self) -> None:
        for parts, target in self._links:
            self._make(parts[:-1])
            self._folder.joinpath(*parts).symlink_to(target)
        root = os.path.realpath(self._folder)
        for parts, _ in self._links:
            found = os.path.realpath(self._folder.joinpath(*parts))
            if found != root and not found.startswith(f"{root}/"):
                raise ArchiveRefused(f"The link {'/'.join(parts)[:200]!r} leads out of the archive.")


class _Info(tarfile.TarInfo):
    """Refuses headers that would be read into memory whole, however large they say they are."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        plain = self.type in tarfile.REGULAR_TYPES or self.type == tarfile.DIRTYPE
        if not plain and self.size > _HEADER:
            raise ArchiveRefused(f"An entry of the kind {self.type!r} is too large.")
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]


class _Counted:
    """A stream that tells how much was read from it."""

    def __init__(self, stream: Any, tell: Callable[[int], None]) -> None:
        self._stream = stream
        self._tell = tell

    def read(self, size: int) -> bytes:
        piece: bytes = self._stream.read(size)
        self._tell(len(piece))
        return piece


def _check_directory(archive: IO[bytes], size: int) -> None:
    """How large the list of entries is, before it is read: at the end of the file, where zip keeps it."""
    tail = min(size, 22 + 65_535)
    archive.seek(size - tail)
    end = archive.read(tail)
    at = end.rfind(b"PK\5\6")
    if at < 0 or len(end) - at < 22:
        raise NotAnArchive("The archive is damaged: it has no end.")
    count, listed = struct.unpack_from("<H", end, at + 10)[0], struct.unpack_from("<I", end, at + 12)[0]
    archive.seek(0)
    if count == 0xFFFF or count > LIMITS.entries:
        raise ArchiveTooLarge(f"The archive has more than {LIMITS.entries} entries.")
    if listed > _DIRECTORY_OF_ZIP:
        raise ArchiveTooLarge("The archive's list of entries is too large.")


def _plain_git(folder: Path) -> None:
    """A repository that came along gets a config that says nothing but what it is."""
    for git in (folder / ".git", *folder.glob("*/.git")):
        if (git / "HEAD").is_file() and (git / "objects").is_dir():
            (git / "config").write_text(_PLAIN_CONFIG)


def lifted(folder: Path) -> Path:
    """The only directory at the top, when there is nothing else; else the folder itself."""
    with os.scandir(folder) as entries:
        found = list(entries)
    if len(found) == 1 and found[0].is_dir(follow_symlinks=False) and found[0].name != ".git":
        return folder / found[0].name
    return folder
