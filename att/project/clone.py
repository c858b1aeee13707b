"""Cloning by the one git (`att.git.command`): what it says, as progress and as typed problems.

No template is copied and no submodule fetched. Credentials go to git by its environment and a credential helper for that one
host: they stand in no argument, no file and no message.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from att.event.redact import HIDDEN, hide
from att.git.command import NETWORK, git
from att.git.errors import GitTimedOut
from att.problems import Problem
from att.project.clone_url import CloneUrl
from att.project.errors import (
    BranchNotFound,
    CloneFailed,
    CloneTimedOut,
    CloneUnauthorized,
    RepositoryNotFound,
)
from att.store.errors import DiskFull

_HELPER = '!f() { test "$1" = get || exit 0; printf "username=%s\\npassword=%s\\n" "$ATT_GIT_USERNAME" "$ATT_GIT_PASSWORD"; }; f'
_PROGRESS = re.compile(r"(?:remote: )?(?P<stage>[A-Z][A-Za-z ]+):\s+(?P<percent>\d{1,3})% \(")


@dataclass(frozen=True, slots=True)
class Progress:
    stage: str  # "Receiving objects"
    percent: int


Report = Callable[[Progress], Awaitable[None]]


def progress_of(line: str) -> Progress | None:
    """What one line of git's progress tells; None when it tells something else."""
    found = _PROGRESS.match(line)
    return Progress(found["stage"], min(int(found["percent"]), 100)) if found else None


def failure_of(said: str, status: int) -> Problem:
    """The typed problem behind what git said (in English)."""
    kinds = (kind for pattern, kind in _FAILURES if re.search(pattern, said, re.IGNORECASE))
    kind = next(kinds, CloneFailed)
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:", "remote:", "ssh:"))]
    told = " ".join((lines or said.splitlines() or [f"it ended with {status}"])[-3:])
    return kind(f"git said: {told[:600]}")


_FAILURES: tuple[tuple[str, type[Problem]], ...] = (
    (r"no space left on device|disk quota exceeded", DiskFull),
    (r"remote branch .* not found", BranchNotFound),
    (
        r"authentication failed|could not read (username|password)|permission denied|terminal prompts disabled",
        CloneUnauthorized,
    ),
    (r"returned error: 40[13]|host key verification failed", CloneUnauthorized),
    (
        r"repository .*not found|does not exist|does not appear to be a git repository|returned error: 404",
        RepositoryNotFound,
    ),
)


async def clone(
    source: CloneUrl, target: Path, *, branch: str | None, timeout: float, report: Report
) -> None:
    """Clone into `target`, which does not exist.

    Ends with git ended, in every case; what it left is the caller's to remove.
    """
    words = ["clone", "--progress", "--no-recurse-submodules", "--no-local", "--template="]
    words += [f"--branch={branch}"] if branch else []
    config, env = _credentials(source)
    said: deque[str] = deque(maxlen=40)
    news: asyncio.Queue[Progress | None] = asyncio.Queue()

    def hear(line: str) -> None:
        told = progress_of(line)
        if told is None:
            said.append(line[:2_000])
        else:
            news.put_nowait(told)

    telling = asyncio.create_task(_tell(news, report))
    try:
        done = await git(
            target.parent,
            *words,
            "--",
            source.url,
            str(target),
            timeout=timeout,
            check=False,
            protocols=NETWORK if source.local is None else ("file",),
            config=config,
            env=env,
            on_said=hear,
        )
        news.put_nowait(None)
        await telling
    except GitTimedOut as error:
        raise CloneTimedOut(f"git was not done after {timeout:g} s.") from error
    finally:
        telling.cancel()
    if done.code != 0:
        raise failure_of(_without_secrets("\n".join(said), source), done.code)


async def _tell(news: asyncio.Queue[Progress | None], report: Report) -> None:
    while (told := await news.get()) is not None:
        await report(told)


def _without_secrets(text: str, source: CloneUrl) -> str:
    return hide(text.replace(source.password, HIDDEN) if source.password else text)


def _credentials(source: CloneUrl) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """A helper for the one host, and what it answers."""
    if not (source.username or source.password):
        return [], {}
    key = f"credential.{'/'.join(source.url.split('/', 3)[:3])}.helper"
    config = [
        (key, ""),
        (key, _HELPER),
    ]  # the empty one forgets the helpers from files: only this one is asked
    return config, {"ATT_GIT_USERNAME": source.username, "ATT_GIT_PASSWORD": source.password}
