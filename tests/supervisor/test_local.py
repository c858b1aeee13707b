"""The keeper within this process: exactly one of each run, all of it ended, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.protocol import child, kin
from launcher.protocol.strays import Strays
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
from supervisor.local import LocalKeeper
from tests.supervisor.house import RUNAWAY, SLEEPER, STUBBORN, Pages, a_keeper, alive, order, python, story
from tests.support import eventually, eventually_sync


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """Whatever a test does, no process of its own lives on after it."""
    yield
    eventually_sync(lambda: not [pid for pid in kin.children(os.getpid()) if alive(pid)])


@pytest.fixture(params=["pidfd", "thread", "thread without waitid"])
def waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Hearing of an end by a descriptor, and by a thread where there are none."""
    if request.param != "pidfd":
        monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.setattr(child, "WAITID", request.param != "thread without waitid")
    return str(request.param)


@story
async def test_a_run_is_made_heard_and_forgotten(waiting: str) -> None:
    async with a_keeper() as (keeper, pages):
        spawned = await keeper.spawn(python("print('hello'); raise SystemExit(3)", "one"))
        exit = await keeper.exited("one")
        assert (exit.run_id, exit.pid, exit.code, exit.signal) == ("one", spawned.pid, 3, None)
        assert (await keeper.runs())[0].exit == exit
        await eventually(lambda: pages.of("one") == "hello\n")
        await keeper.acknowledge("one")
        assert await keeper.runs() == ()
        with pytest.raises(UnknownRun):
            await keeper.exited("one")


@story
async def test_a_signal_reaches_the_first_process_and_nobody_after_its_end(waiting: str) -> None:
    async with a_keeper() as (keeper, pages):
        await keeper.spawn(python(SLEEPER, "one"))
        await eventually(lambda: "up" in pages.of("one"))
        assert await keeper.signal("one", signal.SIGTERM)
        exit = await keeper.exited("one")
        assert (exit.code, exit.signal) == (None, signal.SIGTERM)
        assert not await keeper.signal("one", signal.SIGTERM)
        await keeper.clear("one")
        assert not await keeper.signal("one", signal.SIGKILL)


@story
async def test_a_stopped_process_hears_that_it_shall_leave() -> None:
    async with a_keeper() as (keeper, pages):
        pid = (await keeper.spawn(python(SLEEPER, "one"))).pid
        await eventually(lambda: "up" in pages.of("one"))
        os.kill(pid, signal.SIGSTOP)
        await eventually(lambda: stopped(pid))
        await keeper.signal("one", signal.SIGTERM)
        assert (await asyncio.wait_for(keeper.exited("one"), 5)).signal == signal.SIGTERM


@story
async def test_a_grandchild_that_forked_twice_into_its_own_session_is_ended(waiting: str) -> None:
    async with a_keeper() as (keeper, pages):
        await keeper.spawn(python(RUNAWAY, "one"))
        assert (await keeper.exited("one")).code == 0
        await eventually(lambda: "runaway" in pages.of("one"))
        runaway = int(pages.of("one").split()[1])
        assert alive(runaway)
        cleared = await keeper.clear("one")
        assert cleared.pids == (runaway,)
        assert (cleared.ended, cleared.killed) == (1, 1)
        assert kin.read(runaway) is None


@story
async def test_one_who_also_threw_its_environment_away_is_ended_if_it_was_ever_seen() -> None:
    async with a_keeper() as (keeper, pages):
        program = RUNAWAY.replace("run_away()", "run_away(clean=True)") + "signal.pause()"
        await keeper.spawn(python(program, "one"))
        await eventually(lambda: "runaway" in pages.of("one"))
        runaway = int(pages.of("one").split()[1])
        await eventually(lambda: not (kin.marks(runaway) or {b"ATT"}) & {b"ATT_RUN=one"})
        assert (await keeper.clear("one")).ended == 0
        # Never seen before it changed everything: not ours to judge. The honest limit of marks (a cgroup has none).
        assert alive(runaway)
        os.kill(runaway, signal.SIGKILL)
        await eventually(lambda: child.reap(runaway))


@story
async def test_a_tree_that_forks_while_it_is_ended_is_ended_whole() -> None:
    """Each that dies has left new ones: 200 in all, in sessions and groups of their own."""
    program = """
import os, signal, sys
def grow(left):
    for _ in range(3):
        if left <= 0: break
        share = left // 3
        left -= 1
        if os.fork() == 0:
            os.setsid()
            signal.signal(15, lambda *a: os.fork() and None)
            grow(share)
            print('leaf', flush=True)
            while True: signal.pause()
grow(300)
print('up', flush=True)
while True: signal.pause()
"""
    async with a_keeper() as (keeper, pages):
        await keeper.spawn(python(program, "one"))
        await eventually(lambda: pages.of("one").count("leaf") >= 100)
        before = await keeper.members("one")
        cleared = await asyncio.wait_for(keeper.clear("one", grace=0.3), 20)
        assert cleared.ended >= len(before) - 1
        assert await keeper.members("one") == ()
        assert not [one for one in kin.everybody().values() if b"ATT_RUN=one" in (kin.marks(one.pid) or ())]


@story
async def test_a_fork_bomb_of_two_hundred_is_over_at_once() -> None:
    program = """
import os, signal
for _ in range(200):
    if os.fork() == 0:
        while True: signal.pause()
print('up', flush=True)
signal.pause()
"""
    async with a_keeper() as (keeper, pages):
        await keeper.spawn(python(program, "one"))
        await eventually(lambda: "up" in pages.of("one"))
        assert len(await keeper.members("one")) == 201
        cleared = await asyncio.wait_for(keeper.clear("one"), 10)
        assert cleared.ended == cleared.killed == 200
        assert await keeper.members("one") == ()


@pytest.mark.parametrize("session", [False, True], ids=["in one group", "each in a session of its own"])
@story
async def test_one_who_forks_and_leaves_all_the_time_is_caught(session: bool) -> None:
    """Whoever is looked at has left already, and his child is there. (It gives up by itself in the end.)"""
    program = f"""
import os, signal
signal.signal(15, signal.SIG_IGN)
print('up', flush=True)
if os.fork(): signal.pause()
for hop in range(8000):
    if os.fork(): os._exit(0)
    if {session}: os.setsid()
print('got away', flush=True)
"""
    async with a_keeper() as (keeper, pages):
        await keeper.spawn(python(program, "one"))
        await eventually(lambda: "up" in pages.of("one"))
        await asyncio.wait_for(keeper.clear("one"), 10)
        assert not [one for one in kin.everybody().values() if b"ATT_RUN=one" in (kin.marks(one.pid) or ())]
        assert "got away" not in pages.of("one")
        strays = Strays()  # the many who had left already
        strays.look(set())
        strays.look(set())


@story
async def test_leftovers_may_leave_by_themselves_within_the_grace() -> None:
    async with a_keeper() as (keeper, _):
        await keeper.spawn(python(RUNAWAY, "one"))
        await keeper.exited("one")
        cleared = await keeper.clear("one", grace=5)
        assert (cleared.ended, cleared.killed) == (1, 0)


@story
async def test_clear_ends_the_first_process_too_and_every_caller_hears_it() -> None:
    async with a_keeper() as (keeper, pages):
        await keeper.spawn(python(STUBBORN, "one"))
        await eventually(lambda: "up" in pages.of("one"))
        waiter = asyncio.create_task(keeper.exited("one"))
        results = await asyncio.gather(keeper.clear("one"), keeper.clear("one"), keeper.clear("one"))
        assert [result.ended for result in results] == [0, 0, 0]
        assert (await waiter).signal == signal.SIGKILL


@story
async def test_a_cancelled_clear_goes_on() -> None:
    async with a_keeper() as (keeper, pages):
        pid = (await keeper.spawn(python(STUBBORN, "one"))).pid
        await eventually(lambda: "up" in pages.of("one"))
        clearing = asyncio.create_task(keeper.clear("one", grace=0.2))
        await asyncio.sleep(0)
        clearing.cancel()
        await eventually(lambda: not Path(f"/proc/{pid}").exists())


@story
async def test_a_living_run_cannot_be_forgotten_and_no_run_is_made_twice() -> None:
    async with a_keeper() as (keeper, _):
        await keeper.spawn(python(SLEEPER, "one"))
        with pytest.raises(RunExists):
            await keeper.spawn(python(SLEEPER, "one"))
        with pytest.raises(SupervisorError, match="still lives"):
            await keeper.acknowledge("one")


@story
async def test_a_process_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    async with a_keeper() as (keeper, _):
        gc.collect()  # what other tests have dropped
        before = descriptors()
        with pytest.raises(CommandNotFound) as missing:
            await keeper.spawn(order("surely-not-there", run_id="one"))
        assert missing.value.path == "surely-not-there"
        with pytest.raises(CommandNotExecutable):
            await keeper.spawn(order("/etc/passwd", run_id="one"))
        with pytest.raises(WorkingDirectoryMissing):
            await keeper.spawn(order("true", run_id="one", cwd=tmp_path / "gone"))
        with pytest.raises(UnknownSocket):
            await keeper.spawn(order("true", run_id="one", socket="web"))
        assert descriptors() == before
        assert await keeper.runs() == ()


@story
async def test_when_its_log_does_not_take_it_the_process_is_ended() -> None:
    class Refusing:
        def capture(self, run_id: str, stdout_fd: int, stderr_fd: int) -> None:
            os.close(stdout_fd)
            os.close(stderr_fd)
            raise OSError("closed")

    keeper = LocalKeeper("home", lambda _: Refusing())
    with pytest.raises(OSError, match="closed"):
        await keeper.spawn(python(SLEEPER, "one"))
    assert await keeper.runs() == ()
    await keeper.aclose()


@story
async def test_a_held_socket_is_given_and_outlives_the_run() -> None:
    program = "import socket; s = socket.socket(fileno=3); c, _ = s.accept(); c.sendall(b'hi'); c.close()"
    async with a_keeper() as (keeper, _):
        port = await keeper.listen("web", "127.0.0.1", 0)
        assert await keeper.listen("web", "127.0.0.1", 0) == port
        assert await keeper.listen("web", "127.0.0.1", port) == port
        for run_id in ("one", "two"):
            await keeper.spawn(python(program, run_id, socket="web"))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b"hi"
            writer.close()
            await keeper.exited(run_id)
            await keeper.clear(run_id)
        await keeper.close_socket("web")
        with pytest.raises(UnknownSocket):
            await keeper.close_socket("web")


@story
async def test_an_address_in_use_is_told() -> None:
    async with a_keeper() as (keeper, _):
        with (
            socket.create_server(("127.0.0.1", 0)) as taken,
            pytest.raises(CannotListen, match="in use"),
        ):
            await keeper.listen("web", "127.0.0.1", taken.getsockname()[1])
        await keeper.listen("web", "127.0.0.1", 0)
        with pytest.raises(CannotListen, match="close it first"):
            await keeper.listen("web", "127.0.0.2", 0)


ANOTHER_LIFE = """
import asyncio, os, sys
sys.path.insert(0, os.getcwd())
from tests.supervisor.house import *
async def life():
    pages = Pages()
    keeper = LocalKeeper(sys.argv[1], lambda _: pages)
    await keeper.spawn(python(RUNAWAY + "signal.pause()", "one"))
    while "runaway" not in pages.of("one"): await asyncio.sleep(0.01)
    print((await keeper.members("one"))[0], pages.of("one").split()[1], flush=True)
    await asyncio.sleep(1000)
asyncio.run(life())
"""


def begin_life(home: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", ANOTHER_LIFE, home], stdout=subprocess.PIPE, text=True)


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@story
async def test_what_a_killed_life_left_is_found_and_ended_by_the_next_and_nobody_else() -> None:
    home, other_home = "home-a", "home-ab"
    lives = [begin_life(home), begin_life(other_home)]
    pids = []
    for life in lives:
        assert life.stdout is not None
        pids.append([int(word) for word in (await asyncio.to_thread(life.stdout.readline)).split()])
        life.stdout.close()
    ours, others = pids
    try:
        lives[0].kill()
        lives[0].wait()
        assert all(alive(pid) for pid in [*ours, *others])
        async with a_keeper(home) as (keeper, _):
            swept = await keeper.sweep()
            assert set(swept.pids) == set(ours)
            assert not any(alive(pid) for pid in ours)
            assert all(alive(pid) for pid in others)
            assert (await keeper.sweep()).ended == 0
    finally:
        lives[1].kill()
        lives[1].wait()
        async with a_keeper(other_home) as (keeper, _):
            await keeper.sweep()
    assert not any(alive(pid) for pid in others)


@story
async def test_orphans_that_end_by_themselves_do_not_stay_as_zombies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.local.STRAYS_AFTER", 0.02)
    async with a_keeper() as (keeper, pages):
        await keeper.spawn(python(RUNAWAY + "signal.pause()", "one"))
        await eventually(lambda: "runaway" in pages.of("one"))
        runaway = int(pages.of("one").split()[1])
        os.kill(runaway, signal.SIGKILL)
        await eventually(lambda: not Path(f"/proc/{runaway}").exists())


def test_fifty_rounds_leave_no_descriptor_thread_or_process() -> None:
    async def round(keeper: LocalKeeper, pages: Pages, name: str) -> None:
        await keeper.spawn(python(RUNAWAY + "signal.pause()", name))
        await eventually(lambda: "runaway" in pages.of(name))
        await keeper.signal(name, signal.SIGTERM)
        await keeper.exited(name)
        await keeper.clear(name)
        await keeper.acknowledge(name)

    async def rounds(count: int) -> None:
        async with a_keeper("leaks") as (keeper, pages):
            for number in range(count):
                await round(keeper, pages, f"{count}-{number}")

    gc.collect()
    others = threading.active_count()
    asyncio.run(rounds(2))  # whatever is made once is there now
    eventually_sync(lambda: threading.active_count() <= others)
    gc.collect()
    before = descriptors(), set(kin.children(os.getpid()))
    asyncio.run(rounds(50))
    gc.collect()
    eventually_sync(lambda: threading.active_count() <= others)
    assert (descriptors(), set(kin.children(os.getpid()))) == before


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_we_are_subreaper() -> None:
    LocalKeeper("home", lambda _: Pages())
    assert child.become_subreaper()
