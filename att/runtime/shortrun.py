"""One short command, from start to end: its lines as they come, its exit code, and nothing of it left afterwards.

For what is not the managed app: uv while it builds, `nat validate`, `nat eval`. The command leads a session of its own; at its
end, at the time limit and when the caller is cancelled, the whole tree is ended before this returns.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_PIECE = 64 * 1024
_OPEN_LINE = 1 << 20


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_line: Callable[[str], None],
    timeout: float | None = None,
) -> int:
    """The exit code (negative: the signal); `TimeoutError` when it was ended for taking too long."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout):
            reading = asyncio.create_task(_read(process, on_line))
            code = await process.wait()
            await asyncio.wait([reading], timeout=1.0)  # somebody it left behind may hold the pipe
            reading.cancel()
            return code
    finally:
        await asyncio.shield(end_tree(process))


async def _read(process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
    assert process.stdout is not None  # noqa: S101  for the type checker: it was asked for
    rest = b""
    while piece := await process.stdout.read(_PIECE):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            on_line(line.decode("utf-8", "replace").rstrip("\r"))
        if len(rest) > _OPEN_LINE:
            on_line(rest.decode("utf-8", "replace"))
            rest = b""
    if rest:
        on_line(rest.decode("utf-8", "replace"))


async def end_tree(process: asyncio.subprocess.Process) -> None:
    """End the leader of a session with all of its group and all its descendants; returns when none is left."""
    family = _family(process.pid) if process.returncode is None else []
    for signum, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        _signal(process.pid, family, signum)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
                while _group_lives(process.pid) or any(_lives(member) for member in family):  # noqa: ASYNC110  nobody tells of a grandchild
                    await asyncio.sleep(0.02)
                return


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(group: int, family: Sequence[psutil.Process], signum: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signum)
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(signum)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return any(_lives(p) for p in _of_group(group))


def _of_group(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group:
                found.append(process)
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
