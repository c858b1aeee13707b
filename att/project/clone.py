"""Cloning by the user's own git, in a session of its own that is ended as a whole.

The downloaded repository decides nothing: no hooks and no template run, no submodules are fetched, no
transport but the known ones is used, and nothing asks at a terminal. Credentials go to git by its
environment and a credential helper for that one host: they stand in no argument, no file and no message.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from att.event.redact import HIDDEN, hide
from att.problems import Problem
from att.project.clone_url import CloneUrl
from att.project.errors import (
    BranchNotFound,
    CloneFailed,
    CloneTimedOut,
    CloneUnauthorized,
    GitMissing,
    RepositoryNotFound,
)
from att.store.errors import DiskFull
from supervisor.parent import marks

GRACE = 3.0
"""Seconds that git has to end before it is killed."""
_SAFE = {
    "protocol.ext.allow": "never",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "submodule.recurse": "false",
    "init.templateDir": "",
    "advice.detachedHead": "false",
    "gc.auto": "0",
}
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
    command = ["git", *(word for key, value in _SAFE.items() for word in ("-c", f"{key}={value}"))]
    command += ["clone", "--progress", "--no-recurse-submodules", "--no-local", "--template="]
    command += [f"--branch={branch}"] if branch else []
    try:
        git = await asyncio.create_subprocess_exec(
            *command,
            "--",
            source.url,
            str(target),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            env=_environment(source),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise GitMissing("There is no git on the PATH of the daemon.") from error
    said: deque[str] = deque(maxlen=40)
    try:
        async with asyncio.timeout(timeout):
            async for line in _lines(git):
                told = progress_of(line)
                if told is None:
                    said.append(line)
                else:
                    await report(told)
            status = await git.wait()
    except TimeoutError as error:
        raise CloneTimedOut(f"git was not done after {timeout:g} s.") from error
    finally:
        await _end(git)
    if status != 0:
        raise failure_of(_without_secrets("\n".join(said), source), status)


def _without_secrets(text: str, source: CloneUrl) -> str:
    return hide(text.replace(source.password, HIDDEN) if source.password else text)


def _environment(source: CloneUrl) -> dict[str, str]:
    """The daemon's own, without what would point git elsewhere."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "ATT_"))}
    env |= marks() | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
        "LC_ALL": "C",
        "LANGUAGE": "",
    }
    if source.username or source.password:
        scope = "/".join(source.url.split("/", 3)[:3])
        env |= {
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": f"credential.{scope}.helper",
            "GIT_CONFIG_VALUE_0": "",  # forgets the helpers from files: only this one is asked
            "GIT_CONFIG_KEY_1": f"credential.{scope}.helper",
            "GIT_CONFIG_VALUE_1": _HELPER,
            "ATT_GIT_USERNAME": source.username,
            "ATT_GIT_PASSWORD": source.password,
        }
    return env


async def _lines(git: Process) -> AsyncIterator[str]:
    """Lines of git's messages; its progress ends them with a carriage return."""
    assert git.stderr is not None  # noqa: S101  (for the type checker)
    rest = b""
    while block := await git.stderr.read(65_536):
        *whole, rest = re.split(rb"[\r\n]+", rest + block)
        for line in whole:
            yield line.decode("utf-8", "replace")[:2_000]
        rest = rest[-65_536:]
    if rest:
        yield rest.decode("utf-8", "replace")[:2_000]


async def _end(git: Process) -> None:
    """Nothing of git's session is left when this returns."""
    if git.returncode is not None:
        return
    _signal(git, signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(git.wait(), GRACE)
    _signal(git, signal.SIGKILL)  # whoever of its session did not listen
    await git.wait()


def _signal(git: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(git.pid, number)
