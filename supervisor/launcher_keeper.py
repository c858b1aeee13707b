"""The keeper's form that asks the launcher: the same interface as supervisor/local.py, but what it keeps
outlives this daemon.

The launcher forks, signals, empties the pipes into a ring of its own and remembers exits; here is only the
asking. The log of a run is not given pipes but the ring (`RingTaker.attach`), which an earlier life may
already have taken bytes from. A new life asks `runs` for what it finds. To end with the app still running
(a restart, an update) the daemon calls `detach`, not `aclose`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from launcher.protocol.messages import Message
from launcher.protocol.ring import memory_file
from supervisor.errors import (
    CannotListen,
    CommandNotExecutable,
    CommandNotFound,
    LogInUse,
    RunExists,
    SpawnFailed,
    SupervisorError,
    UnknownRun,
    UnknownSocket,
    WorkingDirectoryMissing,
)
from supervisor.keeper import Cleared, Exit, Run, Spawned, SpawnOrder
from supervisor.link import Link
from supervisor.logs.rings import RingHandles, RingOutdated, RingWanted

LOOK_AGAIN = 10.0  # an exit that was told while nobody could hear it is found by asking

SPAWN_FAILURES: Mapping[str, type[SpawnFailed]] = {
    "command": CommandNotFound,
    "permission": CommandNotExecutable,
    "directory": WorkingDirectoryMissing,
    "system": SpawnFailed,
}
FAILURES: Mapping[str, type[SupervisorError]] = {
    "in_use": LogInUse,
    "run_exists": RunExists,
    "unknown_run": UnknownRun,
    "unknown_socket": UnknownSocket,
}


class RingTaker(Protocol):
    """What takes the output of runs out of the launcher's ring: a log."""

    def wanted(self) -> RingWanted: ...

    def attach(self, handles: RingHandles) -> None:
        """Raises RingOutdated."""
        ...

    def number(self, run_id: str) -> int:
        """The number of the run in the ring; the same for every life."""
        ...

    @property
    def settled(self) -> bool:
        """The ring holds nothing that has not been taken and kept."""
        ...

    def detach(self) -> None:
        """The ring has been closed. May block as long as the disk does."""
        ...


class LauncherKeeper:
    """`keeper_id` names the home, as everywhere; `link` is the channel that the launcher answers on."""

    def __init__(self, keeper_id: str, logs: Callable[[str], RingTaker], link: Link) -> None:
        self.id = keeper_id
        self._logs, self._link = logs, link
        self._attached: dict[str, RingTaker] = {}
        self._attaching = asyncio.Lock()
        self._sockets: set[str] = set()
        self._exits: dict[str, asyncio.Future[Exit]] = {}
        link.also(self._heard)

    # -- processes

    async def spawn(self, order: SpawnOrder) -> Spawned:
        async with self._attaching:  # so that nobody closes the ring before the run is known
            return await self._spawn(order, await self._attach(order.log))

    async def _spawn(self, order: SpawnOrder, taker: RingTaker) -> Spawned:
        body = {
            "run_id": order.run_id,
            "number": taker.number(order.run_id),
            "keeper": self.id,
            "command": list(order.command),
            "cwd": str(order.cwd),
            "env": dict(order.env),
            "log": order.log,
            "socket": order.socket,
        }
        data = json.dumps(body).encode()
        fd = memory_file("att-order", max(1, len(data)))
        try:
            os.pwrite(fd, data, 0)
            answer = await self._ask("spawn", (fd,))
        finally:
            os.close(fd)
        return Spawned(order.run_id, int(answer["pid"]))

    async def attach(self, log: str) -> RingTaker:
        """The log takes from the launcher's ring from now on.

        As it is to do for every log that a known run writes to.
        """
        async with self._attaching:
            return await self._attach(log)

    async def _attach(self, log: str) -> RingTaker:
        if (taker := self._attached.get(log)) is not None:
            return taker
        taker = self._logs(log)
        try:
            taker.attach(await self._ring(log, taker))
        except RingOutdated:
            await self._ask("close_log", log=log)
            taker.attach(await self._ring(log, taker))
        self._attached[log] = taker
        return taker

    async def _ring(self, log: str, taker: RingTaker) -> RingHandles:
        answer = await self._link.request("log", log=log, **taker.wanted()._asdict())
        _refuse(answer.body)
        ring, acks, bell, room = answer.fds
        return RingHandles(ring, acks, bell, room, bool(answer.body["fresh"]))

    async def retire(self, log: str) -> bool:
        """Has the launcher close the ring of a log, when no run writes to it and all that it holds is kept."""
        async with self._attaching:
            taker = self._attached.get(log)
            if taker is None or not taker.settled:
                return False
            try:
                await self._ask("close_log", log=log)
            except LogInUse:
                return False
            del self._attached[log]
            await asyncio.to_thread(taker.detach)
            return True

    async def take_over(self, hold: Callable[[str], None]) -> None:
        """At the start of a life: every log that the launcher has a ring for goes on, and is told to `hold` before it is opened.
        What an earlier life did not take is taken; a ring that no run writes to is given back."""
        for log in await self.held():
            hold(log)
            await self.attach(log)
        used = {run.log for run in await self.runs()}
        for log in self._attached.keys() - used:
            await self.retire(log)

    async def held(self) -> tuple[str, ...]:
        """The logs that the launcher holds a ring for: those of runs, and those of which something may not be taken yet."""
        answer = await self._ask("runs")
        return tuple(sorted({*answer.get("logs", ()), *(run["log"] for run in answer["runs"])}))

    async def signal(self, run_id: str, signum: int) -> bool:
        return bool((await self._ask("signal", run_id=run_id, number=int(signum)))["sent"])

    async def exited(self, run_id: str) -> Exit:
        future = self._exits.get(run_id)
        while future is None or not future.done():
            for run in await self.runs():
                if run.run_id == run_id:
                    break
            else:
                raise UnknownRun(f"There is no run {run_id}.")
            future = self._future(run_id)
            await asyncio.wait([future], timeout=LOOK_AGAIN)
        return future.result()

    async def members(self, run_id: str) -> tuple[int, ...]:
        return tuple((await self._ask("members", run_id=run_id))["pids"])

    async def clear(self, run_id: str, grace: float = 0.0) -> Cleared:
        return _cleared(await self._ask("clear", run_id=run_id, grace=float(grace)))

    async def acknowledge(self, run_id: str) -> None:
        await self._ask("acknowledge", run_id=run_id)
        self._exits.pop(run_id, None)

    async def release(self, run_id: str) -> None:
        """The launcher lets go of the run's pipes once what they hold is taken.

        Though somebody may hold them still.
        """
        await self._ask("release", run_id=run_id)

    async def runs(self) -> tuple[Run, ...]:
        found = []
        for body in (await self._ask("runs"))["runs"]:
            ended = _exit(body)
            if ended is not None:
                self._note(ended)
            found.append(Run(body["run_id"], body["pid"], body["log"], ended))
        return tuple(found)

    # -- what others left, sockets, the end

    async def sweep(self) -> Cleared:
        """Only once in the launcher's life: what carries the mark later is kept by it and stays."""
        return _cleared(await self._ask("sweep", keeper=self.id))

    async def listen(self, name: str, host: str, port: int) -> int:
        answer = await self._ask("listen", name=name, host=host, port=port)
        self._sockets.add(name)
        return int(answer["port"])

    async def close_socket(self, name: str) -> None:
        await self._ask("close_socket", name=name)
        self._sockets.discard(name)

    async def aclose(self) -> None:
        """Ends all runs, those of earlier lives too, and closes the sockets that this life asked for. The rings stay, until
        the launcher ends."""
        for run in await self.runs():
            await self.clear(run.run_id)
            await self.acknowledge(run.run_id)
        for name in sorted(self._sockets):
            await self.close_socket(name)

    def detach(self) -> None:
        """The launcher goes on keeping everything for the next life."""
        for future in self._exits.values():
            future.cancel()
        self._exits.clear()
        self._attached.clear()

    # -- asking

    async def _ask(self, kind: str, fds: tuple[int, ...] = (), **fields: object) -> Message:
        answer = await self._link.request(kind, fds, **fields)
        for fd in answer.fds:
            os.close(fd)
        _refuse(answer.body)
        return answer.body

    def _heard(self, message: Message) -> None:
        if message["type"] == "exited" and (ended := _exit(message)) is not None:
            self._note(ended)

    def _note(self, ended: Exit) -> None:
        future = self._future(ended.run_id)
        if not future.done():
            future.set_result(ended)

    def _future(self, run_id: str) -> asyncio.Future[Exit]:
        if run_id not in self._exits:
            self._exits[run_id] = asyncio.get_running_loop().create_future()
        return self._exits[run_id]


def _exit(body: Mapping[str, Any]) -> Exit | None:
    ended = body["exit"]
    if ended is None:
        return None
    at = datetime.fromtimestamp(ended["at"] / 1e9, UTC)
    return Exit(body["run_id"], body["pid"], ended["code"], ended["signal"], at)


def _cleared(body: Mapping[str, Any]) -> Cleared:
    return Cleared(body["ended"], body["killed"], tuple(body["pids"]))


def _refuse(body: Mapping[str, Any]) -> None:
    """Raises what the launcher's refusal means."""
    error = body.get("error")
    if error is None:
        return
    kind, text = str(error.get("kind")), str(error.get("text"))
    if kind in SPAWN_FAILURES:
        raise SPAWN_FAILURES[kind](text, path=str(error.get("path", "")), errno=int(error.get("errno") or 0))
    if kind == "cannot_listen":
        raise CannotListen(text, errno=int(error.get("errno") or 0))
    raise FAILURES.get(kind, SupervisorError)(text)
