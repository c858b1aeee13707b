"""What a daemon prints: kept in a file for each life, so that the words of a failed one are there
afterwards, and shown on our own stderr.

The pipe is always read, so a daemon never hangs on it. The file is bounded (the beginning of a life, and
its latest part); our stderr is written only while it takes what it is given, so a paused terminal hangs
nobody. Old lives are deleted.
"""

from __future__ import annotations

import os
import select

from launcher.disk import Disk
from launcher.protocol.words import Any

PIECE = 1 << 14
PART_LIMIT = 1 << 20
LIVES_KEPT = 20


class LifeLog:
    """`path` holds the beginning, `path` + ".rest" the latest part."""

    def __init__(self, disk: Disk, path: str, pipe: int, show: int | None) -> None:
        self._disk, self._path, self.pipe, self._show = disk, path, pipe, show
        self._size = 0
        self._fd: int | None = None
        self._open(path)
        os.set_blocking(pipe, False)

    @classmethod
    def resume(cls, disk: Disk, path: str, state: dict[str, Any]) -> LifeLog:
        log = cls.__new__(cls)
        log._disk, log._path, log.pipe, log._show = disk, path, state["pipe"], state["show"]
        log._size, log._fd = state["size"], state["fd"]
        return log

    def state(self) -> dict[str, Any]:
        """What `resume` needs after this process has executed other code."""
        return {"pipe": self.pipe, "show": self._show, "size": self._size, "fd": self._fd}

    def step(self) -> bool:
        """Move what is there; False when nothing will come any more."""
        try:
            data = os.read(self.pipe, PIECE)
        except BlockingIOError:
            return True
        if data:
            self._keep(data)
            self._echo(data)
        return bool(data)

    def _open(self, path: str) -> None:
        try:
            self._fd = self._disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        except OSError:
            self._fd = None  # a full disk: shown, not kept

    def _keep(self, data: bytes) -> None:
        if self._fd is None:
            return
        if self._size + len(data) > PART_LIMIT:
            os.close(self._fd)
            self._open(self._path + ".rest")
            self._size = 0
            if self._fd is None:
                return
        try:
            self._size += self._disk.write(self._fd, data)
        except OSError:
            os.close(self._fd)
            self._fd = None

    def _echo(self, data: bytes) -> None:
        if self._show is None:
            return
        ask = select.poll()
        ask.register(self._show, select.POLLOUT)
        view = memoryview(data)
        while view:
            ready = ask.poll(0)
            if not ready or not ready[0][1] & select.POLLOUT:
                return
            try:
                view = view[os.write(self._show, view[:4096]) :]
            except OSError:
                self._show = None
                return

    def close(self) -> None:
        while self.step():
            ready = select.poll()
            ready.register(self.pipe, select.POLLIN)
            if not ready.poll(0):
                break  # a grandchild holds the other end
        os.close(self.pipe)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def prune(folder: str, keep: int = LIVES_KEPT, spare: str = "") -> None:
    """Delete the logs of all but the latest lives; their names sort by time, as far as clocks can be trusted: never
    that of the life at `spare`."""
    try:
        names = sorted(name for name in os.listdir(folder) if ".log" in name)
    except OSError:
        return
    lives = sorted({name.split(".log")[0] for name in names})
    old = set(lives[: max(0, len(lives) - keep)]) - {os.path.basename(spare).split(".log")[0]}
    for name in names:
        if name.split(".log")[0] in old:
            try:
                os.unlink(os.path.join(folder, name))
            except OSError:
                return
