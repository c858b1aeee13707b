"""The keeper within this process, for a daemon that runs without a launcher, and for tests.

The loop's thread makes the processes, hears of their end through a pidfd (a waiting thread where there is none), and ends
whatever belongs to a run. A first process that has ended stays unreaped until `clear` is through: so its process id, group and
session cannot come to mean anybody else while they are still used to find and to end its family.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from launcher.protocol import child, kin
from launcher.protocol.lone import LoneFamily
from launcher.protocol.strays import Strays
from supervisor.errors import (
    CannotListen,
    CommandNotExecutable,
    CommandNotFound,
    RunExists,
    SpawnFailed,
    SupervisorError,
    UnknownRun,
    UnknownSocket,
    WorkingDirectoryMissing,
)
from supervisor.keeper import Cleared, Exit, Run, Spawned, SpawnOrder

BACKLOG = 1024
SWEEP_GRACE = 2.0
STRAYS_AFTER = 2.0
WAKES = {
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
}  # of use only to one who is not stopped

FAILURES: Mapping[str, type[SpawnFailed]] = {
    "command": CommandNotFound,
    "permission": CommandNotExecutable,
    "directory": WorkingDirectoryMissing,
    "system": SpawnFailed,
}


class Taker(Protocol):
    """What takes the output of a run: a log."""

    def capture(self, run_id: str, stdout_fd: int, stderr_fd: int) -> None: ...


@dataclass(slots=True)
class _Run:
    order: SpawnOrder
    pid: int
    pidfd: int | None
    family: kin.Family
    ended: asyncio.Future[Exit]
    reaped: bool = False
    clearing: asyncio.Task[Cleared] | None = None


class LocalKeeper:
    """`keeper_id` names the home: what one life of it started, a later one with the same name finds and ends.

    `alone`: nobody else in this process starts what leaves its session without a mark, so who comes here so is of the run.
    """

    def __init__(
        self, keeper_id: str, logs: Callable[[str], Taker], reap_strays: bool = True, alone: bool = False
    ) -> None:
        self.id = keeper_id
        self._alone = alone
        self._reap_strays = reap_strays
        self._logs = logs
        self._runs: dict[str, _Run] = {}
        self._sockets: dict[str, tuple[socket.socket, str]] = {}
        self._strays = Strays()
        self._strays_due: asyncio.TimerHandle | None = None
        self._hears_children = False
        child.become_subreaper()

    # -- processes

    async def spawn(self, order: SpawnOrder) -> Spawned:
        if order.run_id in self._runs:
            raise RunExists(f"There already is a run {order.run_id}.")
        listening = self._socket(order.socket).fileno() if order.socket else None
        log = self._logs(order.log)
        self._listen_for_children()
        try:
            output = child.open_output()
        except OSError as error:
            raise SpawnFailed(
                f"No pipes for its output: {error.strerror}.", errno=error.errno or 0
            ) from error
        marks = {child.RUN_MARK: order.run_id, child.KEEPER_MARK: self.id}
        try:
            pid = child.spawn(order.command, str(order.cwd), order.env, output, marks, listening)
        except child.CannotSpawn as refusal:
            output.close()
            raise FAILURES[refusal.what](str(refusal), path=refusal.path, errno=refusal.errno) from None
        output.close_theirs()
        run = self._adopt(order, pid)
        try:
            log.capture(order.run_id, output.stdout, output.stderr)
        except BaseException:
            await self.clear(order.run_id)
            await self.acknowledge(order.run_id)
            raise
        return Spawned(order.run_id, run.pid)

    def _adopt(self, order: SpawnOrder, pid: int) -> _Run:
        pidfd = child.open_pidfd(pid)
        loop = asyncio.get_running_loop()
        family = (
            LoneFamily(order.run_id, pid, self._only_one) if self._alone else kin.Family(order.run_id, pid)
        )
        run = _Run(order, pid, pidfd, family, loop.create_future())
        self._runs[order.run_id] = run
        if pidfd is not None:
            loop.add_reader(pidfd, self._note_exit, run)
        else:
            threading.Thread(target=self._wait_for, args=(run, loop), name=f"wait-{pid}", daemon=True).start()
        return run

    def _only_one(self) -> bool:
        return sum(not run.reaped for run in self._runs.values()) == 1

    def _wait_for(self, run: _Run, loop: asyncio.AbstractEventLoop) -> None:
        child.wait_for_exit(run.pid)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(self._note_exit, run)

    def _note_exit(self, run: _Run) -> None:
        if run.ended.done():
            return
        ended = child.look_at_exit(run.pid)
        if ended is None:
            return
        if run.pidfd is not None:
            asyncio.get_running_loop().remove_reader(run.pidfd)
        run.ended.set_result(Exit(run.order.run_id, run.pid, *ended, at=datetime.now(UTC)))

    async def signal(self, run_id: str, signum: int) -> bool:
        run = self._run(run_id)
        if run.ended.done() or run.reaped:
            return False
        run.family.look()  # who is there now is known for good, even when it leaves its parents and its environment
        # Not reaped before `clear`: the number is still its own.
        os.kill(run.pid, signum)
        if signum in WAKES:
            os.kill(run.pid, signal.SIGCONT)
        return True

    async def exited(self, run_id: str) -> Exit:
        return await asyncio.shield(self._run(run_id).ended)

    async def members(self, run_id: str) -> tuple[int, ...]:
        run = self._run(run_id)
        found = [one.pid for one in run.family.look().kin]
        return tuple(sorted(found, key=lambda pid: pid != run.pid))

    async def clear(self, run_id: str, grace: float = 0.0) -> Cleared:
        run = self._run(run_id)
        if run.clearing is None or run.clearing.done():
            run.clearing = asyncio.create_task(self._clear(run, grace), name=f"clear-{run_id}")
        return await asyncio.shield(run.clearing)

    async def _clear(self, run: _Run, grace: float) -> Cleared:
        ending = kin.Ending(run.family, kill_at=time.monotonic() + grace, spare=run.pid)
        await _drive(ending)
        if not run.reaped:
            self._note_exit(run)
            await run.ended
            run.reaped = child.reap(run.pid)
            run.family.forget_first()
            if run.pidfd is not None:
                os.close(run.pidfd)
                run.pidfd = None
        return Cleared(len(ending.ended), ending.killed_beside, ending.ended)

    async def acknowledge(self, run_id: str) -> None:
        run = self._run(run_id)
        if not run.ended.done():
            raise SupervisorError(f"The run {run_id} still lives.")
        await self.clear(run_id)
        del self._runs[run_id]

    async def release(self, run_id: str) -> None:
        """The log has the pipes here, and lets go of them itself."""
        self._run(run_id)

    async def retire(self, log: str) -> bool:
        """The log has its ring here, and keeps it."""
        return False

    async def runs(self) -> tuple[Run, ...]:
        return tuple(
            Run(run.order.run_id, run.pid, run.order.log, run.ended.result() if run.ended.done() else None)
            for run in self._runs.values()
        )

    def _run(self, run_id: str) -> _Run:
        try:
            return self._runs[run_id]
        except KeyError:
            raise UnknownRun(f"There is no run {run_id}.") from None

    # -- what others left

    async def sweep(self) -> Cleared:
        return await end_orphans(self.id)

    def _listen_for_children(self) -> None:
        """Orphans that end by themselves come to us as zombies: reap them, some time after a child's end was heard of."""
        if (
            self._hears_children
            or not self._reap_strays
            or threading.current_thread() is not threading.main_thread()
        ):
            return
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._look_for_strays_later)
        self._hears_children = True

    def _look_for_strays_later(self) -> None:
        if self._strays_due is None:
            self._strays_due = asyncio.get_running_loop().call_later(STRAYS_AFTER, self._look_for_strays)

    def _look_for_strays(self) -> None:
        self._strays_due = None
        if self._strays.look({run.pid for run in self._runs.values()}):
            self._look_for_strays_later()

    # -- sockets

    async def listen(self, name: str, host: str, port: int) -> int:
        address = f"{host}:{port}"
        if name in self._sockets:
            held, as_asked = self._sockets[name]
            actual = int(held.getsockname()[1])
            if as_asked == address or f"{host}:{actual}" == address:
                return actual
            raise CannotListen(f"The socket {name} is held on {as_asked}; close it first.")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            held = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise CannotListen(
                f"{address} cannot be listened on: {error.strerror}.", errno=error.errno or 0
            ) from error
        self._sockets[name] = held, address
        return int(held.getsockname()[1])

    async def close_socket(self, name: str) -> None:
        self._socket(name).close()
        del self._sockets[name]

    def _socket(self, name: str) -> socket.socket:
        try:
            return self._sockets[name][0]
        except KeyError:
            raise UnknownSocket(f"No listening socket {name} is held.") from None

    async def aclose(self) -> None:
        for run_id in list(self._runs):
            await self.clear(run_id)
            await self.acknowledge(run_id)
        for name in list(self._sockets):
            await self.close_socket(name)
        if self._hears_children:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
            self._hears_children = False
        if self._strays_due is not None:
            self._strays_due.cancel()
            self._strays_due = None


async def end_orphans(keeper_id: str, grace: float = SWEEP_GRACE) -> Cleared:
    """Ends all that carries the mark of a home, but for this process and those above it: nobody keeps it any more."""
    ending = kin.Ending(kin.Orphans(keeper_id), kill_at=time.monotonic() + grace)
    await _drive(ending)
    return Cleared(len(ending.ended), ending.killed_beside, ending.ended)


async def _drive(ending: kin.Ending) -> None:
    """Takes the steps; sleeps until one of the watched has ended, or the next step is due."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    try:
        while (due := ending.step(time.monotonic())) is not None:
            wait = due - time.monotonic()
            if wait <= 0:
                await asyncio.sleep(0)  # others have their turn in between
                continue
            news.clear()
            watched = list(ending.watched.values())
            for fd in watched:
                loop.add_reader(fd, news.set)
            try:
                async with asyncio.timeout(wait):
                    await news.wait()
            except TimeoutError:
                pass
            finally:
                for fd in watched:
                    loop.remove_reader(fd)
    finally:
        ending.close()
