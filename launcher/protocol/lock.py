"""One keeper a home: whoever holds this lock (a launcher, or a daemon without one) may run things in it.

The lock goes with the process that took it, however it ends. The file says who that is, for the one who is
refused.
"""

from __future__ import annotations

import fcntl
import os

from launcher.protocol.words import suppress

NAME = "keeper.lock"


class HomeBusyError(Exception):
    """Another process keeps this home; `pid` is 0 when it did not say who it is."""

    def __init__(self, home: str, pid: int) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{who} already keeps {home}")
        self.home, self.pid = home, pid


class HomeLock:
    """Held from its making until `close` or the end of the process. Not inherited by children."""

    def __init__(self, home: str) -> None:
        self._fd = os.open(os.path.join(home, NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = _number(os.pread(self._fd, 32, 0))
            os.close(self._fd)
            raise HomeBusyError(home, pid) from None
        with suppress(OSError):  # a full disk must not keep us from running
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    @classmethod
    def resume(cls, fd: int) -> HomeLock:
        """Still held, after this process has executed other code."""
        lock = cls.__new__(cls)
        lock._fd = fd
        return lock

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)


def _number(text: bytes) -> int:
    return int(text) if text.strip().isdigit() else 0
