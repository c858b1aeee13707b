"""Which remote is talked to, how, and how often.

A remote's URL stands in the repository's configuration, which may have come with a download: only the forms that may be cloned
pass, only the protocol of that URL is allowed to git, and a repository on this machine must lie below an allowed root. Such a
repository is served by a git that runs none of its hooks.

What did not come through is tried again: a fetch always, a push only when nothing was sent. How often it was tried is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from att.git.command import NETWORK, Done
from att.git.errors import NoRemote, RemoteBrokeOff, RemoteMissing, RemoteRefused, RemoteUnreachable
from att.git.repository import Repository
from att.project.clone_url import CloneUrl, parse
from att.project.errors import CloneUrlRefused, PathNotFound, PathOutsideRoots, RepositoryNotFound

T = TypeVar("T")
Allowed = Callable[[CloneUrl], CloneUrl]
"""The URL, a local one with its links resolved; raises when it lies outside of the allowed roots."""

TIMEOUT = 300.0
_QUIET = [("http.lowSpeedLimit", "1"), ("http.lowSpeedTime", "30")]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a remote that cannot be reached is asked, and the first and longest pause between (seconds)."""

    attempts: int = 3
    first: float = 0.5
    longest: float = 8.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Remote:
    name: str
    protocols: tuple[str, ...]


async def find(repository: Repository, wanted: str | None, allowed: Allowed, *, push: bool = False) -> Remote:
    """The remote of this name; without one that of the branch, `origin`, or the only one."""
    names = (await repository.run("remote")).lines
    name = wanted if wanted is not None else await usual(repository, names)
    if name not in names:
        raise NoRemote(f"There is no remote {name[:100]!r}." if name else "The repository has no remote.")
    urls = await repository.run("remote", "get-url", "--all", *(["--push"] if push else []), "--", name)
    found = [await asyncio.to_thread(admitted, url, repository.folder, allowed) for url in urls.lines]
    return Remote(name, tuple(dict.fromkeys(_protocol(url) for url in found)))


async def usual(repository: Repository, names: list[str]) -> str:
    """The remote that is meant when none is named."""
    branch = await repository.branch()
    own = await repository.ask("config", "--get", f"branch.{branch}.remote") if branch else None
    if own in names:
        return own
    return "origin" if "origin" in names or len(names) != 1 else names[0]


def admitted(url: str, folder: Path, allowed: Allowed) -> CloneUrl:
    """The URL in its parts, a local one with its links resolved; the problem when it may not be talked to."""
    try:
        parsed = parse(str(folder / url) if url.startswith(("./", "../")) else url)
        return allowed(parsed)
    except RepositoryNotFound as error:
        raise RemoteMissing(error.detail) from error
    except (CloneUrlRefused, PathOutsideRoots, PathNotFound) as error:
        raise RemoteRefused(error.detail) from error


def _protocol(parsed: CloneUrl) -> str:
    """The one protocol that the URL needs."""
    if parsed.local is not None:
        return "file"
    scheme = parsed.url.partition("://")[0] if "://" in parsed.url else "ssh"
    return scheme if scheme in NETWORK else "ssh"


async def talk(repository: Repository, remote: Remote, *words: str, **named: Any) -> Done:
    """One command that talks to the remote."""
    named = {"timeout": TIMEOUT, **named}
    return await repository.run(*words, protocols=remote.protocols, config=_QUIET, **named)


async def patiently(
    patience: Patience, do: Callable[[], Awaitable[T]], *, also_broken_off: bool
) -> tuple[T, int]:
    """The answer, and how often it was asked for. `also_broken_off`: asking twice does no harm."""
    kinds = (RemoteUnreachable, RemoteBrokeOff) if also_broken_off else (RemoteUnreachable,)
    retrying = AsyncRetrying(
        stop=stop_after_attempt(patience.attempts),
        wait=wait_exponential(multiplier=patience.first, max=patience.longest),
        retry=retry_if_exception_type(kinds),
        reraise=True,
    )
    made = 0

    async def once() -> T:
        nonlocal made
        made += 1
        return await do()

    try:
        return await retrying(once), made
    except (RemoteUnreachable, RemoteBrokeOff) as error:
        error.extra["attempts"] = made
        raise
