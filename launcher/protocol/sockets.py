"""Sockets as the interpreter has them.

The module `socket` around them makes an enumeration of each family of numbers and loads `selectors`: a third of a megabyte for
the life of a process that is to stay small. Its sockets are of this kind too, so either may be given to the other.
"""

from __future__ import annotations

import _socket
from _socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    CMSG_SPACE,
    MSG_CTRUNC,
    MSG_TRUNC,
    SCM_RIGHTS,
    SHUT_WR,
    SO_ACCEPTCONN,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    socketpair,
)

__all__ = [
    "AF_UNIX",
    "CMSG_SPACE",
    "MSG_CTRUNC",
    "MSG_TRUNC",
    "SCM_RIGHTS",
    "SHUT_WR",
    "SOCK_DGRAM",
    "SOCK_STREAM",
    "SOL_SOCKET",
    "SO_ACCEPTCONN",
    "Socket",
    "socketpair",
]

Socket = _socket.socket
# what not every system has
SOCK_SEQPACKET: int | None = getattr(_socket, "SOCK_SEQPACKET", None)
MSG_NOSIGNAL: int = getattr(_socket, "MSG_NOSIGNAL", 0)
MSG_CMSG_CLOEXEC: int = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)


def family_of(host: str) -> int:
    return AF_INET6 if ":" in host else AF_INET


def is_address(host: str) -> bool:
    """Whether it is one in numbers."""
    try:
        _socket.inet_pton(family_of(host), host)
    except OSError:
        return False
    return True


def listening(host: str, port: int, backlog: int) -> Socket:
    """A new socket on this address alone, also when the last one there has only just been closed."""
    made = Socket(family_of(host), SOCK_STREAM)
    try:
        made.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if made.family == AF_INET6:
            made.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made


def accepted(listener: Socket) -> Socket:
    """The next connection; BlockingIOError or another OSError when there is none."""
    fd, _ = listener._accept()  # type: ignore[attr-defined]
    return Socket(listener.family, listener.type, listener.proto, fd)
