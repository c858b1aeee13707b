"""Asking an app how it is: one object per kind of probe, each with one question, answered within its time.

`process` is never asked: that the process lives is known. `log` is not asked either: it waits for its line. The others open what
they need for one question and close it again. Nothing is decided here: thresholds and uses are health's.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from supervisor.errors import SpawnFailed
from supervisor.keeper import SpawnOrder
from supervisor.local import LocalKeeper
from supervisor.logs.values import Filters
from supervisor.spec import ProbeKind, ProbeSpec

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from supervisor.logs.log import Log

BODY_BYTES = 64 * 1024
TAIL_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Result:
    ok: bool
    reason: str
    latency: float  # seconds


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a probe needs to know of the run it asks."""

    run_id: str
    cwd: Path
    env: Mapping[str, str]
    log: Log | None
    cursor: str | None  # where the log stood before the run began


class Probe(Protocol):
    late: str  # what it means when there is no answer in time

    async def ask(self) -> tuple[bool, str]:
        """The answer and its reason. Ends by itself or is cancelled at the timeout."""
        ...


class Prober:
    """Makes the probes of one app and holds what they share. Close it."""

    def __init__(self, keeper_id: str) -> None:
        self._sessions: dict[str, ClientSession] = {}
        self._keeper_id = keeper_id
        self._commands: Commands | None = None

    def probe(self, spec: ProbeSpec, around: Surroundings) -> Probe | None:
        """None: nothing to be asked."""
        match spec.kind:
            case ProbeKind.HTTP:
                return HttpProbe(spec, self.session(spec.unix))
            case ProbeKind.TCP:
                return TcpProbe(spec)
            case ProbeKind.COMMAND:
                self._commands = self._commands or Commands(self._keeper_id)
                return CommandProbe(spec, around, self._commands)
            case ProbeKind.LOG if around.log is not None:
                return LogProbe(spec, around, around.log)
            case _:
                return None

    def session(self, unix: str = "") -> ClientSession:
        """`unix`: all that is asked goes by this socket."""
        if unix not in self._sessions:
            from aiohttp import BaseConnector, ClientSession, DummyCookieJar, TCPConnector, UnixConnector

            # A connection for each question: one that was kept may have been closed by the app just now.
            connector: BaseConnector = (
                UnixConnector(unix, force_close=True)
                if unix
                else TCPConnector(force_close=True, use_dns_cache=False)
            )
            jar = DummyCookieJar()
            self._sessions[unix] = ClientSession(connector=connector, cookie_jar=jar, trust_env=False)
        return self._sessions[unix]

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()
        if self._commands is not None:
            await self._commands.keeper.aclose()


async def check(probe: Probe, timeout: float) -> Result:
    """One question, answered within `timeout` seconds either way."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            ok, reason = await probe.ask()
    except TimeoutError:
        ok, reason = False, f"{probe.late} within {timeout:g} s"
    return Result(ok, reason, time.monotonic() - begun)


class HttpProbe:
    late = "no answer"

    def __init__(self, spec: ProbeSpec, session: ClientSession) -> None:
        self._spec = spec
        self._session = session
        self._text = re.compile(spec.expect_text) if spec.expect_text else None

    async def ask(self) -> tuple[bool, str]:
        from aiohttp import ClientError

        least, most = self._spec.expect_status
        try:
            async with self._session.get(self._spec.url, allow_redirects=False) as answer:
                body = await answer.content.read(BODY_BYTES) if self._text else b""
                status = answer.status
        except (ClientError, OSError, ValueError) as error:
            return False, f"GET {self._spec.url}: {_why(error)}"
        if not least <= status <= most:
            return False, f"GET {self._spec.url} answered {status}"
        if self._text and not self._text.search(body.decode(errors="replace")):
            return False, f"GET {self._spec.url} answered {status}, without the text that is expected"
        return True, f"answered {status}"


class TcpProbe:
    late = "no connection"

    def __init__(self, spec: ProbeSpec) -> None:
        self._spec = spec

    async def ask(self) -> tuple[bool, str]:
        place = self._spec.unix or f"{self._spec.host}:{self._spec.port}"
        try:
            if self._spec.unix:
                _, writer = await asyncio.open_unix_connection(self._spec.unix)
            else:
                _, writer = await asyncio.open_connection(self._spec.host, self._spec.port)
        except OSError as error:
            return False, f"{place}: {_why(error)}"
        writer.close()
        with suppress(OSError):  # it took the connection: what it does with it afterwards is its own affair
            await writer.wait_closed()
        return True, f"{place} accepts connections"


class Commands:
    """Runs the commands of probes: as runs of their own, so that a tree that hangs is ended as a whole."""

    def __init__(self, keeper_id: str) -> None:
        self.tails: dict[str, Tail] = {}
        self.keeper = LocalKeeper(keeper_id, logs=self._tail, reap_strays=False)

    def _tail(self, run_id: str) -> Tail:
        return self.tails.setdefault(run_id, Tail())


class CommandProbe:
    late = "the command did not end"

    def __init__(self, spec: ProbeSpec, around: Surroundings, commands: Commands) -> None:
        self._spec = spec
        self._around = around
        self._commands = commands

    async def ask(self) -> tuple[bool, str]:
        keeper = self._commands.keeper
        run_id = f"{self._around.run_id}-probe-{uuid4().hex[:8]}"
        order = SpawnOrder(run_id, self._spec.command, self._around.cwd, self._around.env, log=run_id)
        try:
            await keeper.spawn(order)
        except SpawnFailed as error:
            self._commands.tails.pop(run_id, None)
            return False, str(error)
        try:
            exit = await keeper.exited(run_id)
        finally:
            # Also at the timeout, and when the run it asks is over: nothing of it stays.
            await asyncio.shield(self._end(run_id))
            tail = self._commands.tails.pop(run_id)
            said = tail.close()
        if exit.code == 0:
            return True, "exit status 0"
        how = f"exit status {exit.code}" if exit.code is not None else f"ended by signal {exit.signal}"
        return False, f"{how}: {said}" if said else how

    async def _end(self, run_id: str) -> None:
        await self._commands.keeper.clear(run_id)
        await self._commands.keeper.acknowledge(run_id)


class Tail:
    """Takes the output of a probe's command and keeps the end of it."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._open: set[int] = set()

    def capture(self, run_id: str, stdout_fd: int, stderr_fd: int) -> None:
        for fd in (stdout_fd, stderr_fd):
            os.set_blocking(fd, False)
            self._open.add(fd)
            asyncio.get_running_loop().add_reader(fd, self._take, fd)

    def _take(self, fd: int) -> bool:
        try:
            part = os.read(fd, 1 << 16)
        except BlockingIOError:
            return False
        if not part:
            self._drop(fd)
            return False
        self._kept += part
        del self._kept[:-TAIL_BYTES]
        return True

    def _drop(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        self._open.discard(fd)
        os.close(fd)

    def close(self) -> str:
        """Its last line."""
        for fd in list(self._open):
            while self._take(fd):
                pass
            if fd in self._open:
                self._drop(fd)
        lines = self._kept.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class LogProbe:
    """Waits for its line; asked with a timeout it goes on where it was, so it reads each line once."""

    late = "no line matched"

    def __init__(self, spec: ProbeSpec, around: Surroundings, log: Log) -> None:
        self._pattern = spec.pattern
        self._follower = log.follow(around.cursor, Filters(run=around.run_id, grep=spec.pattern))
        self._seen = False

    async def ask(self) -> tuple[bool, str]:
        while not self._seen:
            batch = await self._follower.next()
            self._seen = batch is not None and len(batch) > 0
        return True, f"a line matches {self._pattern}"


def _why(error: Exception) -> str:
    """The system's word where there is one; else the error's own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            return os.strerror(cause.errno) if cause.errno > 0 else cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
