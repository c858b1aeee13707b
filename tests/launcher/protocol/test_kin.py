"""Finding who belongs to a run, and never taking anybody else for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from launcher.protocol import child, kin
from launcher.protocol.strays import Strays
from tests.support import eventually_sync

PAUSE = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
ENV = {"PATH": os.environ["PATH"]}

pytestmark = pytest.mark.skipif(not kin.PROC, reason="looks at /proc")
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(autouse=True)
def subreaper() -> None:
    assert child.become_subreaper()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a pausing process, by default in a session of its own, and ends it after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def starting(*command: str, session: bool = True, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            list(command) or PAUSE, env={**ENV, **env}, start_new_session=session, stdout=subprocess.PIPE
        )
        started.append(process)
        eventually_sync(lambda: kin.marks(process.pid))
        return process

    yield starting
    for process in started:
        if process.poll() is None and os.getsid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)  # with all that it started
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    eventually_sync(nobody_left)


def nobody_left() -> bool:
    """No process of the test lives on; those that came to us and have ended are reaped."""
    strays = Strays()
    strays.look(set())
    strays.look(set())
    return not list(kin.children(os.getpid()))


def finish(ending: kin.Ending, seconds: float = 10.0) -> None:
    """Takes the steps as a loop without any waiting by descriptor would."""
    deadline = time.monotonic() + seconds
    while (due := ending.step(time.monotonic())) is not None:
        assert time.monotonic() < deadline, "it does not come to an end"
        time.sleep(min(0.005, max(0.0, due - time.monotonic())))


def found(finder: kin.Finder) -> set[int]:
    return {one.pid for one in finder.look().kin}


def test_a_process_is_read_as_the_system_shows_it(start: Start) -> None:
    process = start()
    one = kin.read(process.pid)
    assert one is not None
    assert (one.pid, one.ppid, one.group, one.session) == (process.pid, os.getpid(), process.pid, process.pid)
    assert one.alive
    process.kill()
    eventually_sync(lambda: not kin.read(process.pid).alive)  # type: ignore[union-attr]
    process.wait()
    assert kin.read(process.pid) is None


def test_a_mark_is_compared_as_a_whole(start: Start) -> None:
    run = uuid4().hex
    ours = start(ATT_RUN=run)
    longer, shorter, elsewhere = (
        start(ATT_RUN=run + "x"),
        start(ATT_RUN=run[:-1]),
        start(OTHER=f"ATT_RUN={run}"),
    )
    family = kin.Family(run, first=0)
    assert found(family) == {ours.pid}
    assert not {longer.pid, shorter.pid, elsewhere.pid} & found(family)


def test_kin_by_descent_need_no_mark(start: Start) -> None:
    first = start(
        "sh",
        "-c",
        f'env -i "{sys.executable}" -I -S -c "import signal; signal.pause()" & echo; wait',
        ATT_RUN="a",
    )
    family = kin.Family("a", first.pid)
    eventually_sync(lambda: len(found(family)) >= 2)


def test_orphans_with_a_mark_come_to_us_and_are_found(start: Start) -> None:
    run = uuid4().hex
    program = (
        "import os, signal, sys\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid(), flush=True)\n"
        "        signal.pause()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    first = start(sys.executable, "-I", "-S", "-c", program, ATT_RUN=run)
    assert first.stdout is not None
    orphan = int(first.stdout.readline())
    first.wait()
    family = kin.Family(run, first.pid)
    family.forget_first()
    eventually_sync(lambda: found(family) == {orphan})
    finish(kin.Ending(family, kill_at=0.0))
    assert kin.read(orphan) is None  # reaped too


def test_who_was_seen_once_is_known_even_without_parent_and_environment(start: Start) -> None:
    program = (
        "import os, signal, sys\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    os.execve({sys.executable!r}, ['p', '-I', '-S', '-c', 'import signal; print(1, flush=True); signal.pause()'], {{}})\n"
        "sys.stdin.read(); signal.pause()\n"
    )
    first = start(sys.executable, "-I", "-S", "-c", program, ATT_RUN="b")
    assert first.stdout is not None
    first.stdout.readline()
    family = kin.Family("b", first.pid)
    both = found(family)
    assert len(both) == 2
    first.kill()
    first.wait()
    family.forget_first()
    assert found(family) == both - {first.pid}
    finish(kin.Ending(family, kill_at=0.0))


def test_a_signal_never_goes_to_a_later_process_of_the_same_number(start: Start) -> None:
    process = start()
    one = kin.read(process.pid)
    assert one is not None
    earlier = kin.Kin(one.pid, one.ppid, one.group, one.session, "1", True)
    assert not kin.send(earlier, signal.SIGKILL)
    assert process.poll() is None
    assert kin.send(one, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_without_pidfds_the_start_time_protects_the_innocent(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    process = start()
    one = kin.read(process.pid)
    assert one is not None
    assert not kin.send(kin.Kin(one.pid, one.ppid, one.group, one.session, "1", True), signal.SIGKILL)
    assert kin.send(one, signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM


def test_orphans_are_found_by_the_mark_of_their_keeper_with_all_below_them(start: Start) -> None:
    home = uuid4().hex
    marked = start("sh", "-c", "env -i sleep 1000 & echo; wait", ATT_KEEPER=home)
    other, longer, plain = start(ATT_KEEPER=uuid4().hex), start(ATT_KEEPER=home + "0"), start()
    orphans = kin.Orphans(home)
    eventually_sync(lambda: len(found(orphans)) == 2)
    assert marked.pid in found(orphans)
    finish(kin.Ending(orphans, kill_at=0.0))
    assert marked.wait() == -signal.SIGKILL
    assert [process.poll() for process in (other, longer, plain)] == [None, None, None]


def test_one_who_carries_the_mark_itself_is_spared_with_its_ancestors() -> None:
    home = uuid4().hex
    program = (
        "import os\n"
        "from launcher.protocol import kin\n"
        f"orphans = kin.Orphans({home!r})\n"
        "print(sorted(one.pid for one in orphans.look().kin), os.getpid())\n"
    )
    done = subprocess.run(
        ["sh", "-c", 'sleep 1000 & "$0" -c "$1"; kill $!; wait', sys.executable, program],
        env={**os.environ, "ATT_KEEPER": home},
        capture_output=True,
        text=True,
        check=True,
    )
    pids, _, me = done.stdout.strip().rpartition(" ")
    assert str(me) not in pids
    assert len(pids.strip("[]").split(",")) == 1  # the sleep, and neither the shell nor itself


def test_a_group_is_killed_only_when_its_session_began_with_kin(start: Start) -> None:
    """A marked process in somebody's shell pipeline: its neighbours in the group have done nothing."""
    home = uuid4().hex
    neighbour = start(session=False)
    marked = start(session=False, ATT_KEEPER=home)
    finish(kin.Ending(kin.Orphans(home), kill_at=0.0))
    assert marked.wait() == -signal.SIGKILL
    assert neighbour.poll() is None


def test_who_leaves_on_sigterm_is_not_killed_and_who_does_not_is(start: Start) -> None:
    run = uuid4().hex
    polite = start(ATT_RUN=run)
    stubborn = start(
        sys.executable, "-I", "-S", "-c",
        "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True)\nwhile True: signal.pause()",
        ATT_RUN=run,
    )  # fmt: skip
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    ending = kin.Ending(kin.Family(run, 0), kill_at=time.monotonic() + 0.1)
    finish(ending)
    # They are our own children here, so the family reaped them: how they ended is in the account.
    assert set(ending.ended) == {polite.pid, stubborn.pid}
    assert {pid for pid, _ in ending.killed} == {stubborn.pid}


def test_the_table_of_ps_tells_the_same_kin(start: Start) -> None:
    run = uuid4().hex
    first = start("sh", "-c", "sleep 1000 & echo; wait", ATT_RUN=run)
    stranger = start(ATT_RUN=run + "1")
    seen = eventually_sync(
        lambda: len(found(kin.Family(run, first.pid))) == 2 and found(kin.Family(run, first.pid))
    )
    by_ps = {one.pid for one in kin._look_with_ps(os.fsencode(f"ATT_RUN={run}"), first.pid).kin}
    assert by_ps == seen
    assert stranger.pid not in by_ps


def test_without_proc_a_family_is_ended_all_the_same(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin, "PROC", False)
    run = uuid4().hex
    first = start("sh", "-c", "sleep 1000 & echo; wait", ATT_RUN=run)
    ending = kin.Ending(kin.Family(run, first.pid), kill_at=0.0, spare=first.pid)
    finish(ending)
    assert first.wait() == -signal.SIGKILL
    assert len(ending.ended) == 1


def test_a_zombie_that_nobody_waits_for_is_reaped_at_the_second_look() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], ENV)
    known = os.posix_spawn("/bin/true", ["true"], ENV)
    for one in (pid, known):
        os.waitid(os.P_PID, one, os.WEXITED | os.WNOWAIT)
    strays = Strays()
    assert strays.look({known})
    assert kin.read(pid) is not None
    strays.look({known})
    assert kin.read(pid) is None
    assert kin.read(known) is not None
    assert child.reap(known)
