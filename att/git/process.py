"""One process from start to end, with bytes in and out: bounded, and nothing of its session left at the time limit or on cancel.

Its end is waited for by itself, not by the end of its pipes: a helper that it left behind may hold them open.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

GRACE = 3.0
"""Seconds that a process has to end before it is killed."""
LAST_WORDS = 1.0
"""Seconds that the pipes may stay open after its end."""
SAID = 64 * 1024
"""Bytes of its messages that are kept: the last ones."""
_LINE = 8 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    code: int  # negative: the signal
    out: bytes
    said: bytes
    overflowed: bool  # it was ended since `out` reached its limit
    late: bool = False  # it was ended at the time limit


class _Ear(asyncio.SubprocessProtocol):
    def __init__(self, limit: int, on_said: Callable[[str], None] | None) -> None:
        self.out, self.said, self._line = bytearray(), bytearray(), b""
        self.left, self.silent, self.full = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._limit, self._on_said, self._open = limit, on_said, 2

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.said += data
            del self.said[:-SAID]
            self._tell(data)
            return
        room = self._limit - len(self.out)
        self.out += data[:room]
        if len(data) > room:
            self.full.set()

    def _tell(self, data: bytes) -> None:
        if self._on_said is None:
            return
        *whole, self._line = re.split(rb"[\r\n]+", self._line + data)
        for line in whole:
            if line:
                self._on_said(line.decode("utf-8", "replace"))
        if len(self._line) > _LINE:
            self._line = self._line[-_LINE:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            return
        self._open -= 1
        if fd == 2 and self._line and self._on_said is not None:
            self._on_said(self._line.decode("utf-8", "replace"))
        if self._open == 0:
            self.silent.set()

    def process_exited(self) -> None:
        self.left.set()


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes | None = None,
    timeout: float,
    limit: int,
    on_said: Callable[[str], None] | None = None,
    pass_fds: Sequence[int] = (),
    keep: bool = False,
) -> Ended:
    """`TimeoutError` when it was ended for taking too long; `keep`: then what it answered by then, `late`.

    `on_said` hears each line of its messages. `pass_fds`: descriptors that it gets under the same numbers.
    """
    loop = asyncio.get_running_loop()
    source = asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE
    starting = asyncio.ensure_future(
        loop.subprocess_exec(
            lambda: _Ear(limit, on_said),
            *argv,
            stdin=source,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    )
    try:
        transport, ear = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.shield(_end_begun(starting))
        raise
    late = False
    try:
        if stdin is not None:
            pipe = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
            pipe.write(stdin)
            pipe.write_eof()
        try:
            async with asyncio.timeout(timeout):
                await _first(ear.left, ear.full)
                if not ear.full.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LAST_WORDS):
                            await _first(ear.silent, ear.full)
        except TimeoutError:
            if not keep:
                raise
            late = True
        overflowed = ear.full.is_set()
        if overflowed or late:
            await asyncio.shield(_end(transport, ear))
        return Ended(transport.get_returncode() or 0, bytes(ear.out), bytes(ear.said), overflowed, late)
    finally:
        if not ear.left.is_set():
            await asyncio.shield(_end(transport, ear))
        transport.close()


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _end_begun(starting: asyncio.Future[tuple[asyncio.SubprocessTransport, _Ear]]) -> None:
    """As `_end`; cancelled while it starts, asyncio ends the process alone, and waits for whoever holds its pipes."""
    with suppress(OSError):  # it did not start
        transport, ear = await starting
        await _end(transport, ear)
        transport.close()


async def _end(transport: asyncio.SubprocessTransport, ear: _Ear) -> None:
    """Nothing of its session is left when this returns."""
    group = transport.get_pid()
    if not ear.left.is_set():
        _signal(group, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await ear.left.wait()
    _signal(group, signal.SIGKILL)  # whoever of its session did not listen
    await ear.left.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS):  # a dead one that nobody collects is not waited for longer
            while _signal(group, 0):  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def _signal(group: int, number: int) -> bool:
    """Whether there was anybody to hear it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
