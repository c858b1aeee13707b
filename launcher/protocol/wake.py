"""A descriptor that one side rings and the other polls: an eventfd, or a pipe where there is none.

Ringing twice before the other side looked is one ring; it never blocks.
"""

from __future__ import annotations

import os

from launcher.protocol.words import Final, suppress

HAS_EVENTFD: Final = hasattr(os, "eventfd")


class Wake:
    """`fd` is to be polled for reading; `ring` from any thread or (after inheriting `ring_fd`) any process."""

    def __init__(self, *, eventfd: bool = HAS_EVENTFD) -> None:
        self._eventfd = eventfd
        if eventfd:
            self.fd = self.ring_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.fd, self.ring_fd = os.pipe()
            os.set_blocking(self.fd, False)
            os.set_blocking(self.ring_fd, False)

    @classmethod
    def resume(cls, fd: int, ring_fd: int) -> Wake:
        """The same one again, after this process has executed other code."""
        wake = cls.__new__(cls)
        wake.fd, wake.ring_fd = fd, ring_fd
        wake._eventfd = fd == ring_fd
        return wake

    def ring(self) -> None:
        with suppress(BlockingIOError):  # it is rung already
            os.write(self.ring_fd, (1).to_bytes(8, "little") if self._eventfd else b"\1")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.fd, 8 if self._eventfd else 65536)

    def close(self) -> None:
        for fd in {self.fd, self.ring_fd}:
            os.close(fd)
