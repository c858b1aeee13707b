"""Fetching an archive: over HTTP from no address but one that was looked at, into a file that has no name.

The name of the host is resolved here, the addresses are judged, and the connection goes to these very ones; each redirect is
judged anew. So neither a name that means this machine nor one that changes its meaning in between leads to loopback or
link-local services. No proxy, no cookie, no credential of the user's is used.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from att.project.archive_names import LIMITS, MIB
from att.project.download_source import checked_url
from att.project.errors import (
    AddressRefused,
    ArchiveTooLarge,
    DownloadFailed,
    DownloadTimedOut,
    DownloadUrlRefused,
    NotAnArchive,
)

Report = Callable[[str, int], Awaitable[None]]
_REDIRECTS = 5
_PIECE = 256 * 1024
_QUIET = 30.0  # seconds without a byte
_MOVED = (301, 302, 303, 307, 308)
_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")


def is_local(address: str) -> bool:
    """Whether an address means this machine, its link, or nobody in particular."""
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and any(found in network for network in _EMBEDDING) and int(found) > 1:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_local(str(inner))
        if found.is_site_local:
            return True
    elif found in _THIS_NETWORK:
        return True
    return (
        found.is_loopback
        or found.is_link_local
        or found.is_unspecified
        or found.is_multicast
        or found.is_reserved
    )


class Judged(AbstractResolver):
    """Resolves, and hands out addresses only if none of them is local (unless that is allowed)."""

    def __init__(self, local: bool) -> None:
        self._local = local

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise DownloadFailed(f"{host[:200]!r} is no host that is known.") from error
        for *_, address in found:
            self.judge(host, str(address[0]))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in found
        ]

    def judge(self, host: str, address: str) -> None:
        if not self._local and is_local(address):
            raise AddressRefused(f"{host[:200]!r} is at {address}, which is a local address.")

    def socket(self, address: AddrInfoType) -> socket.socket:
        """A socket to connect with: whatever way an address was written, here it is what is really asked."""
        family, kind, proto, _, where = address
        self.judge(str(where[0]), str(where[0]))
        return socket.socket(family, kind, proto)

    async def close(self) -> None:
        """Nothing is kept."""


async def fetch(url: str, target: IO[bytes], *, local: bool, report: Report) -> None:
    """The archive at the URL, written to `target`."""
    judged = Judged(local)
    timeout = aiohttp.ClientTimeout(total=None, connect=_QUIET, sock_read=_QUIET)
    connector = aiohttp.TCPConnector(
        resolver=judged, use_dns_cache=False, force_close=True, socket_factory=judged.socket
    )
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            await _follow(session, judged, url, target, report)
    except TimeoutError as error:
        raise DownloadTimedOut(f"Nothing came for {_QUIET:g} s.") from error
    except aiohttp.InvalidURL as error:
        raise DownloadUrlRefused("The URL names no host that can be asked.") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # our own disk, not the server
        raise DownloadFailed(f"The archive could not be fetched: {_why(error)}.") from error


async def _follow(
    session: aiohttp.ClientSession, judged: Judged, url: str, target: IO[bytes], report: Report
) -> None:
    for _ in range(_REDIRECTS + 1):
        _judge_literal(judged, url)
        async with session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status in _MOVED:
                further = checked_url(urljoin(url, answer.headers.get("Location", "")))
                if url.startswith("https:") and further.startswith("http:"):
                    raise DownloadUrlRefused("The address leads from https to http.")
                url = further
                continue
            if answer.status != 200:
                raise DownloadFailed(f"The server answered {answer.status}.", answer_status=answer.status)
            await _take(answer, target, report)
            return
    raise DownloadFailed(f"The address leads on more than {_REDIRECTS} times.")


def _judge_literal(judged: Judged, url: str) -> None:
    """An address in digits is asked of no resolver, so it is judged here."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return
    judged.judge(host, host)


async def _take(answer: aiohttp.ClientResponse, target: IO[bytes], report: Report) -> None:
    whole = answer.content_length or 0
    taken = 0
    if whole > LIMITS.packed:
        raise _too_large()
    async for piece in answer.content.iter_chunked(_PIECE):
        taken += len(piece)
        if taken > LIMITS.packed:
            raise _too_large()
        await asyncio.to_thread(target.write, piece)
        await report("Fetching", min(100, 100 * taken // whole) if whole else 0)
    if whole and taken < whole:
        raise DownloadFailed("The server broke off in the middle.")


def _too_large() -> ArchiveTooLarge:
    return ArchiveTooLarge(f"The archive is larger than {LIMITS.packed // MIB} MiB.")


def _why(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or error
    return str(getattr(inner, "strerror", None) or type(error).__name__)


def open_file(path: Path) -> IO[bytes]:
    """A regular file of this machine."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise NotAnArchive(f"{path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAnArchive(f"{path} is no regular file.")
    return open(descriptor, "rb")
