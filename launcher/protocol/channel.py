"""Packets with descriptors over a connected unix socket, never waiting, bounded both ways.

SOCK_SEQPACKET keeps packets apart; where there is none (macOS) a stream is used with a length before each
packet, to be had by `framed=True`. What comes is not trusted: an answer that was cut (MSG_TRUNC,
MSG_CTRUNC) or holds more descriptors than allowed is a `BadMessageError`, and every descriptor that came
with it is closed. Sending queues up to a limit; beyond it the other side is not reading, and `FullError`
says so: whoever sends decides what that means.
"""

from __future__ import annotations

import array
import os
from collections import deque
from collections.abc import Sequence

from launcher.protocol import sockets
from launcher.protocol.messages import FD_LIMIT, LIMIT, BadMessageError, Message, decode, encode
from launcher.protocol.sockets import Socket
from launcher.protocol.words import Any

QUEUE_LIMIT = 1024
QUEUED_FDS = 64  # copies of descriptors that wait with their messages
SEQPACKET = sockets.SOCK_SEQPACKET if os.uname().sysname != "Darwin" else None


class FullError(Exception):
    """The other side does not read."""


class ClosedError(Exception):
    """The other side is gone."""


def pair(framed: bool = SEQPACKET is None) -> tuple[Socket, Socket]:
    """Two connected sockets, close-on-exec."""
    kind = sockets.SOCK_STREAM if framed or SEQPACKET is None else SEQPACKET
    return sockets.socketpair(sockets.AF_UNIX, kind)


class Channel:
    """One end. `send` and `receive` never wait.

    `sending` says whether the descriptor must be watched for writing.
    """

    def __init__(self, sock: Socket, limit: int = QUEUE_LIMIT) -> None:
        self.socket = sock
        self._framed = sock.type & 0xF == sockets.SOCK_STREAM
        self._limit = limit
        self._out: deque[tuple[bytes, list[int]]] = deque()
        self._in = bytearray()
        self._in_fds: list[int] = []
        sock.setblocking(False)

    def state(self) -> dict[str, Any]:
        """What `resume` needs after this process has executed other code, beside the descriptors named in it."""
        return {
            "fd": self.socket.fileno(),
            "out": [[data.hex(), fds] for data, fds in self._out],
            "in": self._in.hex(),
            "in_fds": self._in_fds,
        }

    @classmethod
    def resume(cls, state: dict[str, Any]) -> Channel:
        channel = cls(sockets.Socket(fileno=state["fd"]))
        channel._out.extend((bytes.fromhex(data), list(fds)) for data, fds in state["out"])
        channel._in += bytes.fromhex(state["in"])
        channel._in_fds = list(state["in_fds"])
        return channel

    def fileno(self) -> int:
        return self.socket.fileno()

    @property
    def sending(self) -> bool:
        return bool(self._out)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Queue it and send what can be sent. The descriptors are duplicated: the caller keeps its own."""
        if fds and len(fds) + sum(len(waiting) for _, waiting in self._out) > QUEUED_FDS:
            raise FullError(f"{QUEUED_FDS} descriptors wait")
        if len(self._out) >= self._limit:
            raise FullError(f"{self._limit} messages wait")
        data = encode(message)
        if self._framed:
            data = len(data).to_bytes(4, "big") + data
        copies: list[int] = []
        try:
            copies.extend(os.dup(fd) for fd in fds)
        except OSError:
            _close(copies)
            raise
        self._out.append((data, copies))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as it goes; ClosedError when the other side is gone."""
        while self._out:
            data, fds = self._out[0]
            ancillary = [(sockets.SOL_SOCKET, sockets.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                sent = self.socket.sendmsg([data], ancillary, sockets.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError as error:
                raise ClosedError(str(error)) from None
            _close(fds)
            if sent < len(data):
                self._out[0] = (data[sent:], [])
                return
            self._out.popleft()

    def receive(self) -> tuple[Message, list[int]] | None:
        """The next message and its descriptors (close-on-exec, the caller's to close).

        None when there is none now.
        """
        if self._framed:
            return self._receive_framed()
        data, fds, flags = self._take(LIMIT)
        if data is None:
            return None
        return self._open(data, fds, bool(flags & (sockets.MSG_TRUNC | sockets.MSG_CTRUNC)))

    def _take(self, size: int) -> tuple[bytes | None, list[int], int]:
        space = sockets.CMSG_SPACE(FD_LIMIT * array.array("i").itemsize)
        try:
            data, ancillary, flags, _ = self.socket.recvmsg(size, space, sockets.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None, [], 0
        except OSError as error:
            raise ClosedError(str(error)) from None
        fds = array.array("i")
        for level, kind, body in ancillary:
            if level == sockets.SOL_SOCKET and kind == sockets.SCM_RIGHTS:
                fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
        for fd in fds:
            os.set_inheritable(fd, False)
        if not data and not fds and not flags & (sockets.MSG_TRUNC | sockets.MSG_CTRUNC):
            raise ClosedError("end of file")
        return data, list(fds), flags

    def _receive_framed(self) -> tuple[Message, list[int]] | None:
        while True:
            if len(self._in) >= 4:
                length = int.from_bytes(self._in[:4], "big")
                if length > LIMIT:
                    raise ClosedError(
                        f"a packet of {length} bytes was announced"
                    )  # a stream cannot be picked up again
                if len(self._in) >= 4 + length:
                    data, fds = bytes(self._in[4 : 4 + length]), self._in_fds
                    del self._in[: 4 + length]
                    self._in_fds = []
                    return self._open(data, fds, False)
            more, fds, flags = self._take(
                4 - len(self._in) if len(self._in) < 4 else 4 + length - len(self._in)
            )
            if more is None:
                return None
            self._in += more
            self._in_fds += fds
            if flags & sockets.MSG_CTRUNC or len(self._in_fds) > FD_LIMIT:
                raise ClosedError("descriptors were cut off")

    def _open(self, data: bytes, fds: list[int], cut: bool) -> tuple[Message, list[int]]:
        try:
            if cut or len(fds) > FD_LIMIT:
                raise BadMessageError("it was cut off, or has too many descriptors")
            return decode(data), fds
        except BadMessageError:
            _close(fds)
            raise

    def close(self) -> None:
        for _, fds in self._out:
            _close(fds)
        self._out.clear()
        _close(self._in_fds)
        self._in_fds = []
        self.socket.close()


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
    fds.clear()
