"""Putting a whole file into a directory at once: nothing half written is ever seen, and nothing is left of a writer that died.

Where the file system has files without a name (`O_TMPFILE`), the file gets its name when it is complete; only to replace
another it has one of ours for a moment. Elsewhere it has that while it is written. Whoever writes holds a lock on the file,
which ends with the process, so the next writer in that directory can tell what was left, and takes it away.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress

TEMPORARY = ".att-writing-"
"""What the names of files that are being written begin with."""
_LOCKED = re.compile(re.escape(TEMPORARY) + "locked-[0-9a-f]{16}")
_UNLOCKED = re.compile(re.escape(TEMPORARY) + "[0-9a-f]{16}")
_FORSAKEN = 3600.0  # seconds after which one that carries no lock is nobody's any more
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMELESS = getattr(os, "O_TMPFILE", 0)
_NO_SUCH_THING = frozenset(
    {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.EPERM, errno.EXDEV}
)
_swept: set[tuple[int, int]] = set()
_MOST_SWEPT = 10_000


def put(folder: int, name: str, data: bytes, mode: int | None, exclusive: bool) -> os.stat_result:
    """Make or replace `name`. `mode`: of what is replaced; None when there was none. `exclusive`: never over another."""
    sweep_once(folder)
    try:
        return _put(folder, name, data, mode, exclusive, nameless=bool(_NAMELESS))
    except _NoName:
        return _put(folder, name, data, mode, exclusive, nameless=False)


def _put(
    folder: int, name: str, data: bytes, mode: int | None, exclusive: bool, *, nameless: bool
) -> os.stat_result:
    first = 0o666 if mode is None else 0o600
    descriptor, draft = (_nameless if nameless else _draft)(folder, first)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
        found = os.fstat(descriptor)
        if draft is None:
            draft = _named(folder, descriptor, name, new=mode is None, exclusive=exclusive)
        if draft is None:
            return found
        if exclusive:
            os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.unlink(draft, dir_fd=folder)
        else:
            os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        return found
    except BaseException:
        if draft is not None:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
        raise
    finally:
        os.close(descriptor)


def _named(folder: int, descriptor: int, name: str, *, new: bool, exclusive: bool) -> str | None:
    """Give a complete file its name; or, where another has that, one of ours, which is told."""
    if new:
        try:
            _link(folder, descriptor, name)
            return None
        except FileExistsError:
            if exclusive:
                raise
    draft = _name()
    _link(folder, descriptor, draft)
    return draft


class _NoName(Exception):
    """The file system has no files without a name, or gives them none later."""


def _link(folder: int, descriptor: int, name: str) -> None:
    try:
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder)  # with dst_dir_fd it follows the link
    except OSError as error:
        if error.errno in _NO_SUCH_THING:
            raise _NoName from error
        raise


def _nameless(folder: int, mode: int) -> tuple[int, str | None]:
    """A locked file without a name."""
    try:
        descriptor = os.open(".", os.O_WRONLY | _NAMELESS | os.O_CLOEXEC, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_SUCH_THING:
            raise _NoName from error
        raise
    _lock(descriptor)
    return descriptor, None


def _draft(folder: int, mode: int) -> tuple[int, str | None]:
    """A locked file with a name of ours."""
    while True:
        draft = _name()
        descriptor = os.open(draft, _NEW, mode, dir_fd=folder)
        if _lock(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor, draft
        os.close(descriptor)  # somebody took it for forsaken before it was locked
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)


def _name() -> str:
    return f"{TEMPORARY}locked-{secrets.token_hex(8)}"


def _lock(descriptor: int) -> bool:
    """False when another has it. A file system without locks gives none to anybody."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError)
    return True


def sweep_once(folder: int, now: Callable[[], float] = time.time) -> None:
    """Take away what dead writers left in the directory; looked for once in the life of the process."""
    found = os.fstat(folder)
    key = (found.st_dev, found.st_ino)
    if key in _swept:
        return
    if len(_swept) >= _MOST_SWEPT:
        _swept.clear()
    _swept.add(key)
    with suppress(OSError):  # it may not be listed: the write itself tells what may not be
        sweep(folder, now())


def sweep(folder: int, now: float) -> list[str]:
    """Take away what dead writers left; the names."""
    listed = os.open(
        ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder
    )  # it may be one to walk by only
    try:
        names = [name for name in os.listdir(listed) if name.startswith(TEMPORARY)]  # noqa: PTH208  of a descriptor
    finally:
        os.close(listed)
    gone = []
    for name in names:
        with suppress(OSError):  # gone meanwhile, or not ours to take away
            if _take_away(folder, name, now):
                gone.append(name)
    return gone


def _take_away(folder: int, name: str, now: float) -> bool:
    """Remove it if it is forsaken; whether it was."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if found.st_uid != os.geteuid():
        return False
    if _UNLOCKED.fullmatch(name):
        kind = stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)
        if not kind or now - found.st_ctime <= _FORSAKEN:
            return False
        os.unlink(name, dir_fd=folder)
        return True
    if not _LOCKED.fullmatch(name) or not stat.S_ISREG(found.st_mode):
        return False
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError while somebody writes
        os.unlink(name, dir_fd=folder)  # still locked: who made it a moment ago finds it gone
        return True
    finally:
        os.close(descriptor)
