"""The keeper that asks the launcher: what it keeps outlives the one who asked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from launcher.protocol.channel import Channel, pair
from launcher.protocol.ring import Acks, RingReader
from launcher.protocol.sockets import Socket
from supervisor.errors import (
    CannotListen,
    CommandNotExecutable,
    CommandNotFound,
    RunExists,
    SupervisorError,
    UnknownRun,
    UnknownSocket,
    WorkingDirectoryMissing,
)
from supervisor.keeper import SpawnOrder
from supervisor.launcher_keeper import LauncherKeeper
from supervisor.link import LauncherGone, Link
from supervisor.logs.rings import RingHandles, RingWanted
from tests.supervisor.house import RUNAWAY, SLEEPER, alive, python, story
from tests.support import eventually

ROOT = Path(__file__).resolve().parents[2]


class Ringful:
    """Takes what the ring holds, as text."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.handles: RingHandles | None = None

    def wanted(self) -> RingWanted:
        return RingWanted(base=1000, ring_bytes=1 << 20, slots=1024, log_wait=1.0)

    def attach(self, handles: RingHandles) -> None:
        self.handles = handles
        self.ring, self.acks = RingReader(handles.ring), Acks(handles.acks, write=True)

    def number(self, run_id: str) -> int:
        return self.numbers.setdefault(run_id, len(self.numbers) + 1)

    @property
    def settled(self) -> bool:
        return self.acks.kept == self.ring.end

    def detach(self) -> None:
        self.close()

    def of(self, run_id: str) -> str:
        chunks, _ = self.ring.chunks(0)
        parts = [
            self.ring.copy(c.offset, c.end) for c in chunks if c.run == self.numbers[run_id] and not c.flags
        ]
        self.acks.kept = self.ring.end
        return b"".join(part for part in parts if part).decode()

    def close(self) -> None:
        assert self.handles is not None
        self.ring.close()
        self.acks.close()
        os.close(self.handles.bell)
        os.close(self.handles.room)


class Host:
    """A launcher's keeper in a process of its own, and our end of the channel to it."""

    def __init__(self) -> None:
        self.ours, theirs = pair()
        number = theirs.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.supervisor.keeper_host", str(number)], cwd=ROOT, pass_fds=[number]
        )
        theirs.close()
        self.gone = asyncio.Event()

    def life(self, name: str, take: Ringful) -> tuple[LauncherKeeper, Link]:
        """A new life of a daemon on the same channel."""
        link = Link(Channel(Socket(fileno=os.dup(self.ours.fileno()))), lambda message: None, self.gone.set)
        return LauncherKeeper(name, lambda _log: take, link), link


@asynccontextmanager
async def a_host() -> AsyncIterator[Host]:
    host = Host()
    try:
        yield host
    finally:
        host.ours.close()
        try:
            await asyncio.to_thread(host.process.wait, 10)
        except subprocess.TimeoutExpired:
            host.process.kill()
            host.process.wait()


@asynccontextmanager
async def a_keeper() -> AsyncIterator[tuple[LauncherKeeper, Ringful, Host]]:
    async with a_host() as host:
        take = Ringful()
        keeper, link = host.life(uuid4().hex, take)
        yield keeper, take, host
        if not link.gone:
            await keeper.aclose()
        link.close()
        if take.handles is not None:
            take.close()


@story
async def test_a_run_is_made_heard_and_forgotten() -> None:
    async with a_keeper() as (keeper, take, _):
        spawned = await keeper.spawn(python("print('hello'); raise SystemExit(3)", "one"))
        ended = await keeper.exited("one")
        assert (ended.run_id, ended.pid, ended.code, ended.signal) == ("one", spawned.pid, 3, None)
        assert (await keeper.runs())[0].exit == ended
        await eventually(lambda: take.of("one") == "hello\n")
        await keeper.acknowledge("one")
        assert await keeper.runs() == ()
        with pytest.raises(UnknownRun):
            await keeper.exited("one")


@story
async def test_a_new_life_finds_the_run_its_output_and_its_end() -> None:
    async with a_host() as host:
        first, name = Ringful(), uuid4().hex
        keeper, link = host.life(name, first)
        script = "import time\nprint('before', flush=True)\ntime.sleep(0.3)\nprint('after', flush=True)"
        spawned = await keeper.spawn(python(script, "one"))
        await eventually(lambda: "before" in first.of("one"))
        keeper.detach()
        link.close()
        first.close()
        second = Ringful()
        keeper, link = host.life(name, second)
        runs = await keeper.runs()
        assert [(run.run_id, run.pid) for run in runs] == [("one", spawned.pid)]
        await keeper.attach(runs[0].log)
        assert second.handles is not None
        assert not second.handles.fresh
        second.number("one")
        assert (await keeper.exited("one")).code == 0
        await eventually(lambda: second.of("one") == "before\nafter\n")
        await keeper.aclose()
        link.close()
        second.close()


@story
async def test_a_signal_reaches_the_first_process_and_nobody_after_its_end() -> None:
    async with a_keeper() as (keeper, take, _):
        pid = (await keeper.spawn(python(SLEEPER, "one"))).pid
        await eventually(lambda: "up" in take.of("one"))
        os.kill(pid, signal.SIGSTOP)
        assert await keeper.signal("one", signal.SIGTERM)
        ended = await keeper.exited("one")
        assert (ended.code, ended.signal) == (None, signal.SIGTERM)
        assert not await keeper.signal("one", signal.SIGTERM)


@story
async def test_a_grandchild_that_forked_twice_is_a_member_and_is_ended() -> None:
    async with a_keeper() as (keeper, take, _):
        await keeper.spawn(python(RUNAWAY, "one"))
        await keeper.exited("one")
        await eventually(lambda: "runaway" in take.of("one"))
        runaway = int(take.of("one").split()[1])
        assert runaway in await keeper.members("one")
        cleared = await keeper.clear("one")
        assert (cleared.ended, cleared.pids) == (1, (runaway,))
        assert not alive(runaway)


@story
async def test_refusals_are_the_errors_of_every_keeper(tmp_path: Path) -> None:
    async with a_keeper() as (keeper, _, _host):
        (tmp_path / "plain").write_text("no program")

        def wrong(command: str, cwd: Path = tmp_path) -> SpawnOrder:
            return SpawnOrder("bad", (command,), cwd, {"PATH": "/usr/bin:/bin"}, "log")

        with pytest.raises(CommandNotFound):
            await keeper.spawn(wrong("no-such-program"))
        with pytest.raises(CommandNotExecutable) as refused:
            await keeper.spawn(wrong(str(tmp_path / "plain")))
        assert refused.value.path == str(tmp_path / "plain")
        with pytest.raises(WorkingDirectoryMissing):
            await keeper.spawn(wrong("true", tmp_path / "nowhere"))
        await keeper.spawn(python(SLEEPER, "one"))
        with pytest.raises(RunExists):
            await keeper.spawn(python(SLEEPER, "one"))
        with pytest.raises(SupervisorError, match="still lives"):
            await keeper.acknowledge("one")
        with pytest.raises(UnknownRun):
            await keeper.clear("two")
        with pytest.raises(UnknownSocket):
            await keeper.close_socket("none")
        assert [run.run_id for run in await keeper.runs()] == ["one"]


@story
async def test_an_environment_larger_than_a_packet_arrives() -> None:
    async with a_keeper() as (keeper, take, _):
        order = python("import os; print(len(os.environ['BIG']))", "one")
        big = SpawnOrder(
            order.run_id, order.command, order.cwd, {**order.env, "BIG": "x" * 100_000}, order.log
        )
        await keeper.spawn(big)
        await eventually(lambda: take.of("one") == "100000\n")


@story
async def test_a_held_socket_is_given_and_an_address_in_use_is_told() -> None:
    async with a_keeper() as (keeper, _, _host):
        port = await keeper.listen("web", "127.0.0.1", 0)
        assert await keeper.listen("web", "127.0.0.1", port) == port
        with pytest.raises(CannotListen):
            await keeper.listen("web", "127.0.0.1", 1)
        with pytest.raises(CannotListen):
            await keeper.listen("other", "127.0.0.1", port)
        script = "import socket\nc, _ = socket.socket(fileno=3).accept()\nc.sendall(b'served')"
        order = python(script, "one")
        await keeper.spawn(SpawnOrder("one", order.command, order.cwd, order.env, order.log, socket="web"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"served"
        writer.close()
        await keeper.close_socket("web")
        with socket.create_server(("127.0.0.1", port)):
            pass


@story
async def test_many_requests_at_once_are_each_answered() -> None:
    async with a_keeper() as (keeper, _, _host):
        await keeper.spawn(python(SLEEPER, "one"))
        answers = await asyncio.gather(*(keeper.members("one") for _ in range(300)))
        assert len(set(answers)) == 1


@story
async def test_the_end_of_the_launcher_fails_what_waits_and_is_told_once() -> None:
    async with a_keeper() as (keeper, take, host):
        pid = (await keeper.spawn(python(SLEEPER, "one"))).pid
        await eventually(lambda: "up" in take.of("one"))
        waiting = asyncio.create_task(keeper.clear("one", grace=60))
        os.kill(pid, signal.SIGSTOP)
        host.process.kill()
        with pytest.raises(LauncherGone):
            await waiting
        await asyncio.wait_for(host.gone.wait(), 5)
        with pytest.raises(LauncherGone):
            await keeper.runs()
        os.kill(pid, signal.SIGKILL)
