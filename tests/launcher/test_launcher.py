"""The launcher with real processes, real signals and real sockets; only the daemon is a small one of the test's own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.launcher.conftest import ENV, ROOT, Home, Launched, alive
from tests.launcher.packing import pack
from tests.launcher.test_keeper import MODULE, SLEEPER, pid_in
from tests.support import eventually_sync

Launch = Callable[..., Launched]
QUICK = ("--hang", "2.5")


def test_a_healthy_daemon_is_started_and_stopped_in_order(home: Home, launch: Launch) -> None:
    att = launch("--", "--flag", "of the daemon")
    att.wait_for("healthy", "installed")
    assert att.get()["release"] == "installed"
    att.signal(signal.SIGTERM)
    assert att.wait() == 0
    assert [entry["event"] for entry in att.entries()] == [
        "launcher_started",
        "listening",
        "started",
        "healthy",
        "exited",
        "launcher_left",
    ]
    assert home.births()[0]["argv"] == ["--flag", "of the daemon"]
    assert not alive(home.births()[0]["pid"])


def test_a_daemon_is_born_clean(home: Home, launch: Launch) -> None:
    env = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "30000000", "LISTEN_PID": "1", "LISTEN_FDS": "1"}
    blocked = {signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
    att = launch(env=env, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, blocked))
    att.wait_for("healthy")
    birth = home.births()[0]
    assert birth["mask"] == []
    assert set(birth["ignored"]) <= {signal.SIGXFSZ}, "Python itself ignores that one"
    assert birth["private"] == []
    assert birth["leader"]
    assert set(birth["fds"]) <= {0, 1, 2, 3, 4, 5, 6}, "descriptors of the launcher have leaked"
    att.signal(signal.SIGTERM)
    assert att.wait() == 0, "a signal that was blocked when the launcher started must still be heard"


def test_a_second_launcher_is_refused_and_told_whose_home_it_is(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    second = launch()
    assert second.wait() == 69
    assert second.process.stderr is not None
    assert f"process {att.process.pid} already keeps" in second.process.stderr.read()
    assert att.get()["release"] == "installed"


def test_a_port_in_use_is_named(home: Home, launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        att = launch("--listen", f"127.0.0.1:{port}")
        assert att.wait() == 69
        assert att.process.stderr is not None
        assert f"127.0.0.1:{port}" in att.process.stderr.read()


@pytest.mark.parametrize(
    "flags", [["--listen", "nonsense"], ["--hang", "-3"], ["--unknown", "x"], ["--home"]]
)
def test_wrong_flags_are_refused_with_the_usage(flags: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *flags], cwd=ROOT, env=ENV, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_a_killed_daemon_is_back_at_once_and_no_connection_is_refused(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    first = att.get()
    port = att.port()
    os.kill(first["pid"], signal.SIGKILL)
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    att.wait_for("healthy", times=2)
    second = att.get()
    assert second["boot_id"] != first["boot_id"]
    assert second["release"] == first["release"]


def test_requests_wait_over_a_restart_that_was_asked_for(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    before = att.get("/exit/75")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: att.get(), range(32)))
    assert {answer["boot_id"] for answer in answers}.isdisjoint({before["boot_id"]})


def test_exit_0_ends_the_launcher_with_0(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    att.get("/exit/0")
    assert att.wait() == 0


def test_exit_78_without_an_app_ends_the_launcher_with_78(home: Home, launch: Launch) -> None:
    home.behave(installed={"exit": 78})
    att = launch()
    assert att.wait() == 78
    assert len(home.births()) == 1


def test_a_crashing_daemon_ends_in_safe_mode_and_then_in_our_own_answer(home: Home, launch: Launch) -> None:
    home.behave(installed={"exit": 3})
    att = launch()
    att.wait_for("safe_mode", timeout=30)
    att.wait_for("answering", timeout=30)
    assert [birth["safe"] for birth in home.births()] == [False] * 5 + [True] * 5
    times = [birth["at"] for birth in home.births()]
    assert all(later - earlier > 0.4 for earlier, later in pairwise(times[1:5])), "no back-off"
    status, problem = att.status()
    assert status == 503
    assert problem["code"] == "daemon_not_running"
    assert "exit code 3" in problem["detail"]
    home.behave(installed={})
    att.signal(signal.SIGHUP)
    att.wait_for("healthy")
    assert att.get()["release"] == "installed"


def test_sigterm_during_back_off_starts_no_more_life(home: Home, launch: Launch) -> None:
    home.behave(installed={"exit": 1})
    att = launch()
    att.wait_for("backoff", times=3)
    born = len(home.births())
    att.signal(signal.SIGTERM)
    assert att.wait() == 0
    assert len(home.births()) == born


def test_a_child_of_a_launcher_hears_sigterm(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    os.kill(home.births()[0]["pid"], signal.SIGTERM)
    assert att.wait() == 0, "exit 0 of the daemon ends the launcher"


def test_a_stop_that_is_not_heard_ends_in_a_kill(home: Home, launch: Launch) -> None:
    home.behave(installed={"ignore_term": True})
    att = launch("--grace", "0.3")
    att.wait_for("healthy")
    att.signal(signal.SIGINT)
    assert att.wait() == 0
    assert att.entries("exited")[0]["reason"].startswith("signal SIGKILL")


def test_a_second_interrupt_does_not_wait(home: Home, launch: Launch) -> None:
    home.behave(installed={"ignore_term": True})
    att = launch()
    att.wait_for("healthy")
    att.signal(signal.SIGINT)
    assert att.process.stderr is not None
    while "stopping" not in att.process.stderr.readline():
        pass
    att.signal(signal.SIGINT)
    assert att.wait(5) == 0


@pytest.mark.parametrize("how", ["stop", "hang", "sick"])
def test_a_daemon_without_a_sign_of_health_is_replaced(home: Home, launch: Launch, how: str) -> None:
    att = launch(*QUICK)
    att.wait_for("healthy")
    pid = att.get()["pid"]
    if how == "stop":
        os.kill(pid, signal.SIGSTOP)
    else:
        att.get(f"/{how}")
    att.wait_for("unhealthy")
    att.wait_for("healthy", times=2)
    assert att.get()["pid"] != pid
    assert not alive(pid), "one that was stopped could be resumed and do harm"


def test_a_daemon_that_never_gets_healthy_is_started_again(home: Home, launch: Launch) -> None:
    home.behave(installed={"deaf": True})
    att = launch("--start", "0.5")
    att.wait_for("unhealthy", times=2)
    home.behave(installed={})
    att.wait_for("healthy")


def test_somebody_elses_health_is_not_the_daemons(home: Home, launch: Launch) -> None:
    home.behave(installed={"claims": "r9"})
    att = launch("--start", "2")
    assert "not healthy" in att.wait_for("unhealthy")["reason"]
    assert "somebody else" in att.wait_for("exited")["reason"]


def test_a_connection_kept_open_does_not_hide_the_answer(home: Home, launch: Launch) -> None:
    home.behave(installed={"keep_alive": True})
    launch().wait_for("healthy")


def test_garbage_on_the_control_channel_changes_nothing(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    fds = len(os.listdir(f"/proc/{att.process.pid}/fd"))
    for _ in range(5):
        att.get("/garbage")
    att.get("/say/stage/..%2f..")
    att.get("/say/switch/nothing")
    att.wait_for("switch_refused")
    assert att.get()["release"] == "installed"
    assert len(os.listdir(f"/proc/{att.process.pid}/fd")) <= fds + 1
    heard = eventually_sync(lambda: [m for m in att.get()["heard"] if m["type"] == "refused"])
    assert heard[0]["of"] == "stage"


def test_a_daemon_that_closes_its_channel_is_still_looked_after(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    att.get("/silent")
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("healthy", times=2)


def test_the_daemon_hears_welcome_and_the_journal(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    home.add_release("r1")
    att.get("/say/stage/r1")
    heard = eventually_sync(
        lambda: [m for m in att.get()["heard"] if m.get("entry", {}).get("event") == "staged"] and att.get()
    )
    assert heard["heard"][0]["type"] == "welcome"
    assert heard["heard"][0]["protocol"] == 1
    assert heard["heard"][0]["record"]["current"] == "installed"


def test_sighup_asks_a_healthy_daemon_to_read_its_configuration(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    att.signal(signal.SIGHUP)
    eventually_sync(lambda: [m for m in att.get()["heard"] if m["type"] == "reload"])


def test_sockets_from_systemd_are_taken(home: Home, launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        script = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.executable, sys.argv[1:])"
        os.set_inheritable(given.fileno(), True)

        def as_third() -> None:
            os.dup2(given.fileno(), 3)

        command = [sys.executable, "-c", script, sys.executable, "-m", "launcher", "--home", str(home.path)]
        command += ["--listen", "127.0.0.1:1", "--module", "tests.launcher.fake_daemon"]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=ENV | {"PYTHONPATH": str(ROOT), "LISTEN_FDS": "1"},
            pass_fds=(3,) if given.fileno() == 3 else (),
            close_fds=False,
            preexec_fn=as_third,
        )
        try:
            eventually_sync(lambda: [e for e in home.journal() if e["event"] == "healthy"])
            assert [e["reason"] for e in home.journal() if e["event"] == "listening"] == [f"127.0.0.1:{port}"]
        finally:
            process.terminate()
            assert process.wait(10) == 0


def test_the_service_manager_is_told(home: Home, launch: Launch, tmp_path: Path) -> None:
    address = f"\0att-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)
        att = launch(env={"NOTIFY_SOCKET": "@" + address[1:], "WATCHDOG_USEC": "300000"})
        said: list[str] = []
        while not ("READY=1" in said and said.count("WATCHDOG=1") > 2):
            said += manager.recv(4096).decode().split("\n")
        assert any(line.startswith("STATUS=healthy") for line in said) or any(
            line.startswith("STATUS=healthy") for line in manager.recv(4096).decode().split("\n")
        )
        att.signal(signal.SIGTERM)
        while "STOPPING=1" not in said:
            said += manager.recv(4096).decode().split("\n")
        assert att.wait() == 0


def test_a_long_path_of_the_home_is_no_obstacle(tmp_path: Path, launch: Launch, home: Home) -> None:
    home.path = tmp_path / ("long" * 30)
    home.path.mkdir()
    (tmp_path / "run").mkdir()
    att = launch(env={"XDG_RUNTIME_DIR": str(tmp_path / "run")})
    att.wait_for("healthy")
    assert len(list((tmp_path / "run").iterdir())) == 1
    att.signal(signal.SIGTERM)
    assert att.wait() == 0
    assert list((tmp_path / "run").iterdir()) == []


def test_a_launcher_that_was_killed_is_followed_by_one_that_goes_on(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    pid = home.births()[0]["pid"]
    att.signal(signal.SIGKILL)
    att.wait()
    eventually_sync(lambda: not alive(pid))
    again = launch()
    again.wait_for("healthy")
    assert home.journal()[-1]["n"] > 4


@pytest.mark.parametrize("packed", [True, False], ids=["one file", "package"])
def test_the_launcher_does_not_grow_by_going_on_with_other_code(
    home: Home, launch: Launch, packed: bool
) -> None:
    """How large it is at all is measured by scripts/bench/launcher.py: that hangs on who shares Python's pages."""
    (home.path / "app.py").write_text(SLEEPER)
    code = {"code": pack(home.path / "launcher.pyz")} if packed else {}
    att = launch(*MODULE, **code)
    att.wait_for("healthy")
    pid_in(home.path / "app.pid")
    own = []
    for change in range(3):
        own.append(private_kib(att.process.pid))
        att.signal(signal.SIGUSR2)
        att.wait_for("replaced", times=change + 1)
    own.append(private_kib(att.process.pid))
    assert max(own) - own[0] <= 512, own


def private_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))


def test_what_the_launcher_loads_is_little() -> None:
    script = (
        "import sys; before = set(sys.modules); import launcher.__main__; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=ROOT, capture_output=True, text=True)
    large = {
        "typing",
        "ctypes",
        "subprocess",
        "threading",
        "tempfile",
        "logging",
        "asyncio",
        "traceback",
        "inspect",
        "re",
        "socket",
        "contextlib",
    }
    assert large & set(done.stdout.split()) == set(), done.stderr
