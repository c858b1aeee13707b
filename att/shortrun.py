"""One short command, from start to end: its lines as they come, its exit code, and nothing of it left afterwards.

For what is not the managed app: uv while it builds, `nat validate`, `nat eval`, tests. The command leads a session of its own, and
all that it starts inherits a mark; at its end, at the time limit and when the caller is cancelled, the whole tree is ended before
this returns, those too that have left both the session and the family.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from supervisor.parent import marks

_PIECE = 64 * 1024
_OPEN_LINE = 1 << 20
MARK = "ATT_SHORT_RUN"
_PROC = Path("/proc")
_LAST_WORDS = 1.0  # somebody who left the session may still hold the pipe


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_line: Callable[[str], None],
    timeout: float | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """The exit code (negative: the signal); `TimeoutError` when it was ended for taking too long.

    `pass_fds`: descriptors that it gets under the same numbers.
    """
    mark = secrets.token_hex(8)
    process = subprocess.Popen(  # noqa: ASYNC220  a fork takes a millisecond; its end is waited for in a thread
        list(argv),
        cwd=cwd,
        env={**env, **marks(), MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
    )
    ended = False
    reading = asyncio.create_task(_read(process, on_line))
    try:
        async with asyncio.timeout(timeout):
            code = await asyncio.to_thread(process.wait)  # asyncio's own would wait for the pipe to close
        await asyncio.shield(_end_tree(process, mark))
        ended = True
        await asyncio.wait([reading], timeout=_LAST_WORDS)
        return code
    finally:
        if not ended:
            await asyncio.shield(_end_tree(process, mark))
        reading.cancel()


async def _read(process: subprocess.Popen[bytes], on_line: Callable[[str], None]) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), process.stdout
    )
    try:
        await _lines(reader, on_line)
    finally:
        transport.close()


async def _lines(reader: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    rest = b""
    while piece := await reader.read(_PIECE):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            on_line(line.decode("utf-8", "replace").rstrip("\r"))
        if len(rest) > _OPEN_LINE:
            on_line(rest.decode("utf-8", "replace"))
            rest = b""
    if rest:
        on_line(rest.decode("utf-8", "replace"))


async def _end_tree(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the leader of a session, its group, its descendants and all that carry the mark; returns when none is left."""
    family = _family(process.pid) if process.poll() is None else []
    family += await asyncio.to_thread(_marked, mark)
    for signum, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        if process.poll() is not None and not _group_lives(process.pid) and not any(map(_lives, family)):
            return
        _signal(process.pid, family, signum)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while process.poll() is None or _group_lives(process.pid) or any(map(_lives, family)):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _marked(mark: str) -> list[psutil.Process]:
    """Everybody alive who inherited the mark."""
    found = []
    for pid in psutil.pids():
        with suppress(psutil.Error, OSError):
            if _carries(pid, mark):
                found.append(psutil.Process(pid))
    return [process for process in found if _lives(process)]


def _carries(pid: int, mark: str) -> bool:
    if sys.platform == "linux":
        return f"{MARK}={mark}".encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return psutil.Process(pid).environ().get(MARK) == mark


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
    for pid in psutil.pids():  # not process_iter: its cache may hold an earlier process of the same number
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getpgid(pid) == group:
                found.append(psutil.Process(pid))
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
