"""The launcher goes on with other code, in the same process: nothing that it keeps notices."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from tests.launcher.conftest import Home, Launched, alive
from tests.launcher.packing import newer, pack
from tests.launcher.test_keeper import MODULE, SLEEPER, WRITER, pid_in
from tests.support import eventually_sync

Launch = Callable[..., Launched]
QUICK_TRIAL = ("replace.py", "CHECK_LIMIT = 10.0", "CHECK_LIMIT = 1.0")
FAULTY = (
    "keeper.py",
    "    def _members(self, message: Message, _fds: list[int], reply: Reply) -> None:\n",
    "    def _members(self, message: Message, _fds: list[int], reply: Reply) -> None:\n        raise RuntimeError('a fault')\n",
)
# what new code can be that must not be gone on with, and what is said of it
UNFIT: dict[str, tuple[tuple[str, str, str], str]] = {
    "broken": (("loop.py", "class Launcher:", "class Launcher(Missing):"), "exit code 1"),
    "hangs": (("boot.py", "class Boot(Rules):", "while True: pass\nclass Boot(Rules):"), "within 1 s"),
    "dies": (("boot.py", "class Boot(Rules):", "os.abort()\nclass Boot(Rules):"), "exit code 1"),
    "other state": (("replace.py", "FORMAT = 1", "FORMAT = 2"), "not a state of format 2"),
    "silent": (
        ("loop.py", 'VERSION = "0.1.0"', 'import sys\nsys.exit(0)\nVERSION = ""'),
        "not fit (exit code 0)",
    ),
    "fails when it takes over": (
        ("keeper.py", '        self._swept = state["swept"]\n', '        self._swept = state["soap"]\n'),
        "KeyError: 'soap'",
    ),
    "fails later": (
        ("loop.py", "        self._put_right()\n", "        raise LookupError('later')\n"),
        "LookupError: later",
    ),
}


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def finish_and_check(home: Home) -> None:
    """The writer ends, and each of its lines is there once."""
    (home.path / "enough").touch()
    wanted = int(
        eventually_sync(lambda: (home.path / "written").exists() and (home.path / "written").read_text())
    )
    exact = b"".join(b"line %d\n" % n for n in range(wanted)) + b"\n\n"
    eventually_sync(lambda: (home.path / "taken").stat().st_size >= len(exact), timeout=20)
    assert (home.path / "taken").read_bytes() == exact


LOOK = """import os
listed = os.listdir("/proc/self/fd")
still = [fd for fd in listed if os.path.lexists("/proc/self/fd/" + fd)]  # without the one that listed them
open("seen.new", "w").write(" ".join(still))
os.rename("seen.new", "seen." + os.environ["ATT_RUN"])
"""


def test_no_descriptor_that_the_launcher_was_born_with_or_has_taken_over_reaches_an_app(
    home: Home, launch: Launch
) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    look = home.path / "look"
    look.write_text(f"#!{sys.executable} -IS\n{LOOK}")
    look.chmod(0o755)
    with (home.path / "stranger").open("w") as stranger:
        att = launch(*MODULE, code=pack(home.path / "first.pyz"), pass_fds=(stranger.fileno(),))
    att.wait_for("healthy")
    for life in ("before", "after"):
        att.get(f"/spawn/{life}{look}")
        eventually_sync((home.path / f"seen.{life}").exists)
        assert (home.path / f"seen.{life}").read_text() == "0 1 2"
        att.get(f"/replace{home.path}/first.pyz")
        att.wait_for("replaced")


def test_nothing_of_the_app_is_lost_or_doubled_over_ten_changes_of_code(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(WRITER)
    att = launch(*MODULE, code=pack(home.path / "first.pyz"))
    att.wait_for("healthy")
    app, daemon, port = pid_in(home.path / "app.pid"), att.get()["pid"], att.get("/listen/0")["port"]
    held = 0
    for change in range(1, 11):
        if change % 2:
            newer(home.path / "launcher.pyz")
            att.signal(signal.SIGUSR2)
        else:
            att.get(f"/replace{home.path}/first.pyz")
        entry = att.wait_for("replaced", times=change)
        assert ("by 9.9.9" if change % 2 else "by 0.1.0") in entry["reason"]
        held = held or descriptors(att.process.pid)
    assert att.get()["pid"] == daemon
    assert alive(app)
    told = lambda: [m["launcher"] for m in att.get()["heard"] if m["type"] == "replaced"]  # noqa: E731
    eventually_sync(lambda: told() == ["9.9.9", "0.1.0"] * 5)
    eventually_sync(lambda: descriptors(att.process.pid) <= held)  # a connection may be about to be closed
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    finish_and_check(home)
    run = eventually_sync(lambda: [run for run in att.get("/runs")["runs"] if run["exit"]])[0]
    assert run["exit"]["code"] == 0, "the children are still ours"
    att.signal(signal.SIGTERM)
    assert att.wait() == 0
    assert len(home.births()) == 1


@pytest.mark.parametrize("how", UNFIT)
def test_code_that_is_not_fit_is_not_gone_on_with(home: Home, launch: Launch, how: str) -> None:
    (home.path / "app.py").write_text(WRITER)
    exchange, words = UNFIT[how]
    att = launch(*MODULE, code=pack(home.path / "first.pyz", QUICK_TRIAL))
    att.wait_for("healthy")
    app, daemon = pid_in(home.path / "app.pid"), att.get()["pid"]
    pack(home.path / "launcher.pyz", exchange)
    att.signal(signal.SIGUSR2)
    assert words in att.wait_for("replace_failed")["reason"]
    refused = eventually_sync(lambda: [m for m in att.get()["heard"] if m.get("of") == "replace"])
    assert words in refused[0]["reason"]
    assert (att.get()["pid"], alive(app)) == (daemon, True)
    newer(home.path / "launcher.pyz")
    att.signal(signal.SIGUSR2)
    att.wait_for("replaced")
    finish_and_check(home)


def test_a_path_without_code_is_refused(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    att.get("/replace/no/such/file")
    assert "no code at" in att.wait_for("replace_failed")["reason"]
    att.get("/say/replace/relative")
    eventually_sync(lambda: [m for m in att.get()["heard"] if "absolute path" in m.get("reason", "")])
    assert len(att.entries("replace_failed")) == 1


def test_code_replaced_in_its_file_can_still_be_gone_back_to(home: Home, launch: Launch) -> None:
    """One file, as it is installed: the code that runs is no longer there when its successor fails."""
    code = pack(home.path / "launcher.pyz")
    att = launch(code=code)
    att.wait_for("healthy")
    pack(code, UNFIT["fails later"][0])
    att.signal(signal.SIGUSR2)
    assert "LookupError" in att.wait_for("replace_failed")["reason"]
    newer(code)
    att.signal(signal.SIGUSR2)
    att.wait_for("replaced")
    assert len(home.births()) == 1


def test_without_a_newer_file_its_own_package_is_read_again(home: Home, launch: Launch) -> None:
    att = launch()
    att.wait_for("healthy")
    att.signal(signal.SIGUSR2)
    assert "launcher/__main__.py" in att.wait_for("replaced")["reason"]
    pid = att.get()["pid"]
    os.kill(pid, signal.SIGKILL)
    att.wait_for("healthy", times=2)
    assert [entry["event"] for entry in att.entries()].count("launcher_started") == 1
    numbers = [entry["n"] for entry in att.entries()]
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))


def test_signals_that_come_meanwhile_are_heard_afterwards(home: Home, launch: Launch) -> None:
    newer(home.path / "launcher.pyz", ("loop.py", "import os\n", "import os\nimport time\ntime.sleep(0.5)\n"))
    att = launch()
    att.wait_for("healthy")
    att.signal(signal.SIGUSR2)
    att.wait_for("replacing")
    for _ in range(20):
        att.signal(signal.SIGHUP)
    att.wait_for("replaced")
    att.signal(signal.SIGTERM)
    assert att.wait() == 0


STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: open("asked", "w").close())
open("app.pid", "w").write(str(os.getpid()))
while True: signal.pause()
"""


def test_a_request_that_is_being_served_is_answered_by_the_new_code(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(STUBBORN)
    newer(home.path / "launcher.pyz")
    att = launch(*MODULE)
    att.wait_for("healthy")
    app = pid_in(home.path / "app.pid")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(att.get, "/clear/1.5", 20)
        eventually_sync((home.path / "asked").exists)
        att.signal(signal.SIGUSR2)
        att.wait_for("replaced")
        assert alive(app)
        assert "error" not in answer.result()
    assert not alive(app)


def test_an_update_goes_on_over_a_change_of_code(home: Home, launch: Launch) -> None:
    newer(home.path / "launcher.pyz")
    home.add_release("r1")
    home.write_record("installed", r1="staged")
    home.behave(r1={"late": 1.0})
    att = launch("--probation", "0.5")
    att.wait_for("healthy")
    att.get("/say/switch/r1")
    att.wait_for("standby")
    att.signal(signal.SIGUSR2)
    att.wait_for("replaced")
    att.wait_for("good", "r1")
    assert att.get()["release"] == "r1"
    assert len(home.births()) == 2


def test_a_back_off_goes_on_over_a_change_of_code(home: Home, launch: Launch) -> None:
    newer(home.path / "launcher.pyz")
    home.behave(installed={"exit": 3})
    att = launch()
    att.wait_for("backoff", times=3)
    born = len(home.births())
    att.signal(signal.SIGUSR2)
    att.wait_for("replaced")
    home.behave(installed={})
    att.wait_for("healthy")
    assert len(home.births()) == born + 1
    assert home.births()[-1]["at"] - home.births()[-2]["at"] > 1.9, (
        "the wait of 2 s has not begun anew or ended"
    )


def test_its_own_answer_goes_on_over_a_change_of_code(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    newer(home.path / "launcher.pyz")
    att = launch(*MODULE)
    att.wait_for("healthy")
    app = pid_in(home.path / "app.pid")
    home.behave(installed={"exit": 78})
    os.kill(att.get()["pid"], signal.SIGKILL)
    att.wait_for("answering")
    att.signal(signal.SIGUSR2)
    att.wait_for("replaced")
    status, problem = att.status()
    assert (status, "configuration" in problem["detail"]) == (503, True)
    home.behave(installed={})
    (home.path / "att.toml").write_text("# changed")
    att.wait_for("healthy", times=2)
    assert alive(app)


def test_an_unexpected_fault_is_told_and_the_code_begins_afresh(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(WRITER)
    att = launch(*MODULE, code=pack(home.path / "faulty.pyz", FAULTY))
    att.wait_for("healthy")
    app, daemon = pid_in(home.path / "app.pid"), att.get()["pid"]
    for fault in (1, 2, 3):
        assert att.get("/members")["error"]["kind"] == "internal", "who asked is answered"
        assert "RuntimeError: a fault (" in att.wait_for("launcher_fault", times=fault)["reason"]
        att.wait_for("resumed", times=fault)
    assert (att.get()["pid"], alive(app)) == (daemon, True)
    finish_and_check(home)


def test_code_that_fails_again_and_again_gives_way_to_the_code_before(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(WRITER)
    att = launch(*MODULE)
    att.wait_for("healthy")
    app = pid_in(home.path / "app.pid")
    newer(home.path / "launcher.pyz", FAULTY)
    att.signal(signal.SIGUSR2)
    att.wait_for("replaced")
    for fault in (1, 2, 3, 4):
        assert att.get("/members")["error"]["kind"] == "internal"
        att.wait_for("launcher_fault", times=fault)
    assert "failed 4 times" in att.wait_for("replace_failed")["reason"]
    assert app in att.get("/members")["pids"], "the code before has no such fault"
    finish_and_check(home)


def test_with_no_code_to_go_back_to_the_faults_are_bounded(home: Home, launch: Launch) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE, code=pack(home.path / "faulty.pyz", FAULTY))
    att.wait_for("healthy")
    daemon = att.get()["pid"]
    for fault in (1, 2, 3, 4):
        att.get("/members")
        att.wait_for("launcher_fault", times=fault)
    assert att.wait() == 70
    assert att.wait_for("launcher_left")["reason"] == "code 70"
    eventually_sync(lambda: not alive(daemon))
