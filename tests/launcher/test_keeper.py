"""The app is kept by the launcher: no death of the daemon touches it or loses a byte of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launcher.conftest import Home, Launched, alive
from tests.support import eventually_sync

Launch = Callable[..., Launched]
MODULE = ("--module", "tests.launcher.keeping_daemon")

WRITER = """
import os, sys, time
out = open("app.pid", "w"); out.write(str(os.getpid())); out.close()
n = 0
while not os.path.exists("enough"):
    for _ in range(25):
        os.write(1, b"line %d\\n" % n); n += 1
    time.sleep(0.005)
open("written", "w").write(str(n))
"""
SLEEPER = """
import os, subprocess, sys, time
open("app.pid", "w").write(str(os.getpid()))
child = subprocess.Popen(["setsid", "-f", sys.executable, "-c",
    "import os, time; open('grandchild.pid', 'w').write(str(os.getpid())); time.sleep(300)"])
print("hello", flush=True)
time.sleep(300)
"""


def pid_in(path: Path) -> int:
    return eventually_sync(lambda: path.exists() and path.read_text() and int(path.read_text()))


def test_the_app_and_every_byte_of_it_outlive_the_daemon(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(WRITER)
    att = launch(*MODULE, "--probation", "0.001")  # health of that length begins the back-off anew
    att.wait_for("healthy")
    app = pid_in(home.path / "app.pid")
    chance = random.Random(7)
    for life in range(2, 12):
        if chance.random() < 0.7:
            os.kill(att.get()["pid"], signal.SIGKILL)
        else:
            with contextlib.suppress(OSError):  # it leaves before it answers
                att.get("/exit/75")
        att.wait_for("healthy", times=life, timeout=40)
    assert alive(app)
    (home.path / "enough").touch()
    wanted = int(
        eventually_sync(lambda: (home.path / "written").exists() and (home.path / "written").read_text())
    )
    exact = b"".join(b"line %d\n" % n for n in range(wanted))
    # the end of each of its two streams adds one newline that ends a last line without one
    eventually_sync(lambda: (home.path / "taken").read_bytes() == exact + b"\n\n")
    run = eventually_sync(lambda: [run for run in att.get("/runs")["runs"] if run["exit"]])[0]
    assert run["exit"]["code"] == 0, "the exit is kept until it is acknowledged"
    assert "error" not in att.get("/acknowledge")
    assert att.get("/runs")["runs"] == []


def test_an_exit_in_the_gap_is_kept_for_the_next_daemon(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    app = pid_in(home.path / "app.pid")
    os.kill(att.get()["pid"], signal.SIGSTOP)
    os.kill(app, signal.SIGKILL)
    os.kill(home.births()[0]["pid"], signal.SIGKILL)
    att.wait_for("healthy", times=2)
    assert att.get("/runs")["runs"][0]["exit"]["signal"] == signal.SIGKILL


def test_clearing_a_run_leaves_no_grandchild(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    app, grandchild = pid_in(home.path / "app.pid"), pid_in(home.path / "grandchild.pid")
    assert att.get("/members")["pids"][0] == app
    assert grandchild in att.get("/members")["pids"]
    cleared = att.get("/clear/0.1")
    assert cleared["ended"] >= 1
    assert not alive(app)
    assert not alive(grandchild)
    assert att.get("/signal/15")["sent"] is False


def test_a_stop_of_the_launcher_ends_the_app_and_what_it_left(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    app, grandchild = pid_in(home.path / "app.pid"), pid_in(home.path / "grandchild.pid")
    att.signal(signal.SIGTERM)
    assert att.wait() == 0
    assert not alive(app)
    assert not alive(grandchild)


def test_orphans_of_a_killed_launcher_are_ended_before_the_app_is_started_again(
    home: Home, launch: Launch
) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    app, daemon = pid_in(home.path / "app.pid"), att.get()["pid"]
    grandchild = pid_in(home.path / "grandchild.pid")
    os.kill(daemon, signal.SIGSTOP)
    att.signal(signal.SIGKILL)
    os.kill(daemon, signal.SIGKILL)
    att.wait()
    assert alive(grandchild)
    (home.path / "app.pid").unlink()
    (home.path / "taken").unlink()
    again = launch(*MODULE)
    again.wait_for("healthy")
    fresh = pid_in(home.path / "app.pid")
    assert fresh != app
    assert not alive(app)
    assert not alive(grandchild)


def test_what_a_dead_daemon_left_is_ended_before_the_next_begins(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    left = att.get("/leave_child")["pid"]
    app = pid_in(home.path / "app.pid")
    eventually_sync(lambda: b"sleep" in Path(f"/proc/{left}/cmdline").read_bytes().split(b"\0")[0])
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("healthy", times=2)
    assert not alive(left)
    assert alive(app), "the app is no part of the daemon's life"
    assert att.entries("cleared")


def test_a_wrong_configuration_keeps_the_app_and_is_tried_again_when_it_changes(
    home: Home, launch: Launch
) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    app = pid_in(home.path / "app.pid")
    home.behave(installed={"exit": 78})
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("answering")
    status, problem = att.status()
    assert (status, "configuration" in problem["detail"]) == (503, True)
    assert alive(app)
    home.behave(installed={})
    (home.path / "att.toml").write_text("# changed")
    att.wait_for("healthy", times=2)
    assert pid_in(home.path / "app.pid") == app


def test_with_a_wrong_configuration_and_no_app_left_the_launcher_leaves(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    app = pid_in(home.path / "app.pid")
    home.behave(installed={"exit": 78})
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("answering")
    os.kill(app, signal.SIGKILL)
    assert att.wait() == 78


def test_a_held_socket_outlives_the_daemon(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    port = att.get("/listen/0")["port"]
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("healthy", times=2)
    assert att.get(f"/listen/{port}")["port"] == port
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    assert att.get(f"/listen/{port - 1}")["error"]["kind"] == "cannot_listen"


def test_refusals_have_a_kind_and_change_nothing(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    assert att.get("/spawn/run-1/bin/true")["error"]["kind"] == "run_exists"
    assert att.get("/spawn/run-2/no/such/program")["error"]["kind"] == "command"
    assert att.get("/spawn/run-2/etc/hostname")["error"]["kind"] == "permission"
    assert att.get("/acknowledge")["error"]["kind"] == "alive"
    for kind in (
        "spawn",
        "log",
        "signal",
        "clear",
        "listen",
        "close_socket",
        "members",
        "close_log",
        "sweep",
    ):
        assert att.get(f"/bad/{kind}").get("error", {}).get("kind", "bad_request") == "bad_request"
    assert [run["run_id"] for run in att.get("/runs")["runs"]] == ["run-1"]


@pytest.mark.slow
def test_a_flood_through_the_launcher_leaves_it_as_small_as_it_was(home: Home, launch: Launch) -> None:
    flood = "import os\nfor n in range(3000): os.write(1, (b'x' * 99 + b'\\n') * 640)\nopen('written', 'w').write('1')\n"
    (home.path / "app.py").write_text(flood)
    att = launch(*MODULE)
    att.wait_for("healthy")
    eventually_sync(lambda: (home.path / "written").exists(), timeout=60)
    eventually_sync(lambda: (home.path / "taken").stat().st_size == 3000 * 64_000 + 2, timeout=60)
    status = Path(f"/proc/{att.process.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    assert peak <= 16, peak
