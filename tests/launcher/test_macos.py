"""The launcher where the system lacks what macOS lacks: the features are taken away before anything is loaded, and the rest is
real. What cannot be had here is macOS itself.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import disk
from tests.launcher.conftest import Home, Launched, alive
from tests.launcher.packing import pack
from tests.launcher.test_keeper import MODULE, SLEEPER, WRITER, pid_in
from tests.launcher.test_replace import finish_and_check
from tests.support import eventually_sync

Launch = Callable[..., Launched]
AS_ON_MACOS = """
for name in ("pipe2", "eventfd", "memfd_create", "splice", "pidfd_open", "waitid", "O_PATH"):
    delattr(os, name)
for name in ("SOCK_SEQPACKET", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "MSG_NOSIGNAL", "MSG_CMSG_CLOEXEC"):
    delattr(_socket, name)
import signal
del signal.pidfd_send_signal
spawned = os.posix_spawn
def posix_spawn(*given, setsid=False, **more):
    if setsid:
        raise NotImplementedError("setsid")
    return spawned(*given, **more)
os.posix_spawn = posix_spawn
sys.platform = "darwin"
"""
TAKEN = (
    "__main__.py",
    "import os\nimport sys\n",
    f"import os\nimport _socket\nimport sys\n{AS_ON_MACOS}",
)
# Linux's ps has no -E: the letters that show environments elsewhere are asked for
PS = ("protocol/kin.py", 'if sys.platform == "darwin" else', "if False else")


@pytest.fixture
def code(home: Home) -> Path:
    return pack(home.path / "launcher.pyz", TAKEN, PS)


def test_the_features_are_really_gone(home: Home, launch: Launch, code: Path) -> None:
    att = launch(code=code)
    att.wait_for("healthy")
    fds = Path(f"/proc/{att.process.pid}/fd")
    assert not [fd for fd in fds.iterdir() if "eventfd" in os.readlink(fd)]
    kinds = Path(f"/proc/{att.process.pid}/net/unix").read_text()
    inodes = {os.readlink(fd)[8:-1] for fd in fds.iterdir() if os.readlink(fd).startswith("socket:")}
    types = {line.split()[4] for line in kinds.splitlines()[1:] if line.split()[6] in inodes}
    assert types == {"0001"}, "streams only"
    assert home.births()[0]["leader"], "it leads a session of its own all the same"
    assert home.births()[0]["mask"] == []


def test_the_app_and_every_byte_of_it_outlive_the_daemon(home: Home, launch: Launch, code: Path) -> None:
    (home.path / "app.py").write_text(WRITER)
    att = launch(*MODULE, "--probation", "0.001", code=code)
    att.wait_for("healthy")
    app, daemon = pid_in(home.path / "app.pid"), att.get()["pid"]
    att.signal(signal.SIGUSR2)
    att.wait_for("replaced", timeout=30)
    assert att.get()["pid"] == daemon
    for life in (2, 3, 4):
        os.kill(att.get()["pid"], signal.SIGKILL)
        att.wait_for("healthy", times=life, timeout=30)
    assert alive(app)
    finish_and_check(home)
    run = eventually_sync(lambda: [run for run in att.get("/runs")["runs"] if run["exit"]])[0]
    assert run["exit"]["code"] == 0
    assert "error" not in att.get("/acknowledge")
    att.signal(signal.SIGTERM)
    assert att.wait() == 0


def test_a_stop_ends_the_app_and_what_it_left(home: Home, launch: Launch, code: Path) -> None:
    (home.path / "app.py").write_text(SLEEPER)
    att = launch(*MODULE, code=code)
    att.wait_for("healthy")
    app, grandchild = pid_in(home.path / "app.pid"), pid_in(home.path / "grandchild.pid")
    port = att.get("/listen/0")["port"]
    os.kill(att.get()["pid"], signal.SIGSTOP)
    os.kill(home.births()[0]["pid"], signal.SIGKILL)
    att.wait_for("healthy", times=2, timeout=30)
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    att.signal(signal.SIGTERM)
    assert att.wait(30) == 0
    assert not alive(app)
    assert not alive(grandchild)


def test_a_switch_goes_its_way(home: Home, launch: Launch, code: Path) -> None:
    home.add_release("r1")
    home.write_record("installed", r1="staged")
    att = launch("--probation", "0.5", code=code)
    att.wait_for("healthy")
    att.get("/say/switch/r1")
    att.wait_for("good", "r1", timeout=30)
    assert att.get()["release"] == "r1"


def test_where_fsync_does_not_reach_the_disk_the_call_that_does_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(disk, "FULL_SYNC", 51)
    monkeypatch.setattr(disk.fcntl, "fcntl", lambda _fd, call: asked.append(call))
    disk.replace_file(disk.Disk(), str(tmp_path / "file"), json.dumps({}).encode())
    assert asked == [51, 51], "the file and its folder"
