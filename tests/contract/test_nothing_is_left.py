"""Nothing outlives a stop, and nothing grows: processes, descriptors and threads of a daemon after many rounds."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.house import ALIVE, alive, below, counts, kept_by
from tests.daemon import RunningDaemon, running
from tests.support import eventually_sync

# Forks twice with a session of its own each time, gives up its environment, its output and its parents, ignores all that can be
# ignored, and tells its number by a file. The app itself only waits, but leaves more of the kind when it is asked to end.
HYDRA = r"""
import os, pathlib, signal, sys

def leave(name, env):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    code = f'''
import os, pathlib, signal
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
path = pathlib.Path({sys.argv[1]!r})
(path / "{name}.new").write_text(str(os.getpid()))
(path / "{name}.new").rename(path / "{name}")
while True:
    signal.pause()
'''
    os.execve(sys.executable, [sys.executable, "-c", code], env)

def end(*_):
    leave("late", dict(os.environ))
    os._exit(0)

signal.signal(signal.SIGTERM, end)
leave("marked", dict(os.environ))
leave("bare", {})
while True:
    signal.pause()
"""
POOLS = {"descriptors": 8, "threads": 6, "children": 0}  # what pools that were not full yet may grow by, once
WAIT = ["sleep", "100000"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("left") / "home", ATT_LOG_LEVEL="warning") as daemon:
        yield daemon
        assert "Traceback" not in daemon.said


def hydra(daemon: RunningDaemon, name: str, folder: Path) -> list[int]:
    """Start the app of that name; the numbers of the app and of those it left, when all are there."""
    folder.mkdir()
    script = folder / "hydra.py"
    script.write_text(HYDRA)
    command = [sys.executable, str(script), str(folder)]
    daemon.project(name, command, f"stop_grace = 0.3\n{ALIVE}")
    started = daemon.ask("POST", f"/projects/{name}/runtime/start")
    assert started.status == 200, started.text
    eventually_sync(lambda: all((folder / left).exists() for left in ("marked", "bare")))
    return [int(started.json["pid"]), *(int((folder / left).read_text()) for left in ("marked", "bare"))]


@pytest.mark.parametrize("how", ["stop", "restart", "delete", "another"])
def test_nothing_outlives_a_stop(daemon: RunningDaemon, tmp_path: Path, how: str) -> None:
    pids = hydra(daemon, f"hydra-{how}", tmp_path / "left")
    assert all(map(alive, pids))
    if how == "delete":
        answer = daemon.ask("DELETE", f"/projects/hydra-{how}")
    elif how == "another":
        daemon.project("successor", WAIT, ALIVE)
        answer = daemon.ask("POST", "/projects/successor/runtime/start")
    else:
        answer = daemon.ask("POST", f"/projects/hydra-{how}/runtime/{how}")
    assert answer.status == 200, answer.text
    late = tmp_path / "left" / "late"
    pids += [int(late.read_text())] if late.exists() else []
    assert not any(map(alive, pids))
    if how == "restart":
        assert daemon.ask("POST", f"/projects/hydra-{how}/runtime/stop").status == 200
    if how != "another":
        assert below(daemon.process.pid) == kept_by(daemon.home) == set()


def test_nothing_outlives_the_daemon_that_is_asked_to_end(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        pids = hydra(daemon, "hydra", tmp_path / "left")
        assert daemon.stop() == 0
        assert not any(map(alive, pids))
        assert kept_by(daemon.home) == set()


def round_trip(daemon: RunningDaemon) -> None:
    for wish in ("start", "stop"):
        answer = daemon.ask("POST", f"/projects/round/runtime/{wish}")
        assert answer.status == 200, answer.text


def test_fifty_rounds_leak_no_descriptor_thread_or_process(daemon: RunningDaemon) -> None:
    daemon.project("round", WAIT, ALIVE)
    for _ in range(3):  # pools fill up to their size
        round_trip(daemon)
    still = eventually_sync(lambda: now if (now := counts(daemon.process.pid))["children"] == 0 else {})
    for number in range(50):
        with closing(http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=10)) as follower:
            if number % 2 == 0:  # somebody follows now and then, and leaves without a word
                head = {"Authorization": f"Bearer {daemon.token}"}
                follower.request("GET", "/api/v1/projects/round/runtime/logs?format=sse", headers=head)
                assert follower.getresponse().status == 200
            round_trip(daemon)

    def grown() -> dict[str, int]:
        now = counts(daemon.process.pid)
        return {name: now[name] - still[name] for name in now if now[name] - still[name] > POOLS[name]}

    eventually_sync(lambda: grown() == {}, 5)
    assert kept_by(daemon.home) == set()
    runs = daemon.ask("GET", "/events?type=runtime.exited&limit=1000").json["events"]
    assert sum(event["project_id"] == "round" for event in runs) == 53
