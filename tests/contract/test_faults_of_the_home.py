"""What is wrong with the home itself: taken by another daemon, locked, closed to us, full. Told by name, and nothing is spoilt."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from att.config import EXIT_CONFIG
from tests.contract.house import (
    ALIVE,
    PAUSE,
    Said,
    att,
    begin,
    kept_by,
    log_lines,
    nothing_changes,
    refused,
    told,
)
from tests.daemon import ROOT, RunningDaemon, environment, running
from tests.support import eventually_sync, free_port

SERVE = ["att", "serve", "--standalone"]
TALK = """
import itertools, time
for i in itertools.count():
    print(f"line {i:06} " + "x" * 2000, flush=True)
    time.sleep(0.002)
"""
TEN_LINES = "for i in range(10): print(f'kept {i}', flush=True)"


def try_to_serve(home: Path, port: int, *module: str, before: Sequence[str] = ()) -> Said:
    """Start a daemon that cannot start; what it said when it had left by itself."""
    done = subprocess.run(
        [*before, sys.executable, "-m", *(module or SERVE)],
        env=environment(home, port),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def cannot_start(said: Said, code: str, exit_code: int = EXIT_CONFIG) -> dict[str, Any]:
    """The line in which the daemon says why it leaves; with 78 where to start it again as it is would not help."""
    assert said.code == exit_code, said
    lines = [json.loads(line) for line in said.out.splitlines() + said.err.splitlines() if line[:1] == "{"]
    (line,) = [line for line in lines if line["event"] == "cannot_start"]
    assert line["code"] == code, line
    assert len(line["detail"]) > 8
    assert len(line["hint"]) > 8
    return dict(line)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("faults") / "home", ATT_LOG_LEVEL="warning") as daemon:
        daemon.project("app", PAUSE, ALIVE)
        daemon.project("other", PAUSE, ALIVE)
        begin(daemon, "app")
        yield daemon
        assert "Traceback" not in daemon.said


# -- taken


@pytest.mark.parametrize(
    "command", [SERVE, pytest.param(["att.daemon"], marks=pytest.mark.slow)], ids=" ".join
)
def test_a_second_daemon_on_one_home(daemon: RunningDaemon, command: list[str]) -> None:
    with nothing_changes(daemon):
        line = cannot_start(try_to_serve(daemon.home, free_port(), *command), "home_in_use")
        assert str(daemon.process.pid) in line["detail"]


def test_a_launcher_on_the_home_of_a_daemon(daemon: RunningDaemon) -> None:
    with nothing_changes(daemon):
        said = try_to_serve(daemon.home, free_port(), "att", "up")
        assert said.code != 0
        assert str(daemon.process.pid) in said.out + said.err, said


def test_the_daemons_own_port_in_use_names_the_process(daemon: RunningDaemon, tmp_path: Path) -> None:
    with nothing_changes(daemon):
        line = cannot_start(try_to_serve(tmp_path / "home", daemon.port), "listen_failed")
    assert f"127.0.0.1:{daemon.port}" in line["detail"]
    assert f"pid {daemon.process.pid}" in line["detail"]


def test_nobody_at_the_address(daemon: RunningDaemon) -> None:
    said = att(daemon, "project", "list", "--url", f"http://127.0.0.1:{free_port()}")
    assert (said.code, said.out) == (4, "")
    assert "cannot be reached" in said.err
    assert "Hint: " in said.err


# -- locked


@pytest.mark.slow  # ten seconds are what a write waits for the lock
def test_the_database_locked_by_another_process(daemon: RunningDaemon) -> None:
    folder = daemon.home / "projects" / "made"
    folder.mkdir()
    asks = [
        lambda: daemon.ask("POST", "/projects", {"name": "made", "path": str(folder)}),
        lambda: daemon.ask("POST", "/projects/other/runtime/start"),
        lambda: daemon.ask("POST", "/projects/app/runtime/stop"),
        lambda: daemon.ask("POST", "/projects", {"name": "fresh", "template": "echo"}),
        lambda: daemon.ask("DELETE", "/events?before=2100-01-01T00:00:00Z"),
        lambda: daemon.ask("DELETE", "/projects/other"),
    ]
    with (
        nothing_changes(daemon),
        closing(sqlite3.connect(daemon.home / "att.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        try:
            with ThreadPoolExecutor(8) as pool:
                terminal = pool.submit(att, daemon, "project", "create", "made", "--path", str(folder))
                waiting = [pool.submit(ask) for ask in asks]
                assert daemon.ask("GET", "/projects/app/runtime/status").json["state"] == "running"
                assert len(daemon.ask("GET", "/projects").json["projects"]) == 2
                problems = [refused(answer.result(), 503, "database_locked") for answer in waiting]
                told(terminal.result(), problems[0])
        finally:
            other.execute("ROLLBACK")
    assert daemon.ask("POST", "/projects", {"name": "made", "path": str(folder)}).status == 201


# -- closed to us


def held_back() -> list[str]:
    """What to put before a command so that rights hold it back: root may read and write everything, unless it gives that up."""
    if os.geteuid() != 0:
        return []
    words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if not shutil.which("setpriv") or subprocess.run([*words, "true"], capture_output=True).returncode != 0:
        pytest.skip("root is not held back by rights, and setpriv cannot change that here")
    return words


@pytest.mark.parametrize("rights", [0o000, pytest.param(0o300, marks=pytest.mark.slow), 0o500])
def test_an_unreadable_state_folder(tmp_path: Path, rights: int) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    home.chmod(rights)
    try:
        said = try_to_serve(home, free_port(), before=held_back())
        said_to_client = try_to_serve(home, free_port(), "att", "project", "list", before=held_back())
    finally:
        home.chmod(0o700)
    assert said.code == EXIT_CONFIG
    assert str(home) in said.out + said.err
    if rights & 0o100:  # else not even the settings in it can be looked for, which is told in other words
        cannot_start(said, "home_unusable")
        assert said_to_client.code == 4
    else:
        assert (said_to_client.code, said_to_client.out) == (EXIT_CONFIG, "")
        for told_one in (said, said_to_client):
            assert re.search(r"^Error: .*cannot be read: Permission denied\.$", told_one.err, re.MULTILINE), (
                told_one
            )
            assert "\nHint: Check its owner and its rights." in told_one.err
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [("att.db", "database_unreadable"), ("token", "bad_settings"), ("keeper.lock", "home_unusable")],
)
def test_an_unreadable_file_of_the_state(tmp_path: Path, name: str, code: str) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    path = home / name
    path.write_bytes(b"1\n")
    path.chmod(0o000)
    said = try_to_serve(home, free_port(), before=held_back())
    line = cannot_start(said, code, 1 if name == "att.db" else EXIT_CONFIG)
    assert str(home) in line["detail"]
    assert stat.S_IMODE(path.stat().st_mode) == 0
    path.chmod(0o600)
    assert path.read_bytes() == b"1\n"


def test_a_database_that_is_none_is_never_overwritten(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "att.db").write_bytes(b"my diary\n" * 1000)
    line = cannot_start(try_to_serve(home, free_port()), "database_unreadable", 1)
    assert "att.db" in line["detail"]
    assert (home / "att.db").read_bytes() == b"my diary\n" * 1000


def test_an_unreadable_log_folder_refuses_the_start_and_leaves_the_running_app(tmp_path: Path) -> None:
    with running(tmp_path / "home", before=held_back(), ATT_LOG_LEVEL="warning") as daemon:
        for name in ("app", "other"):
            daemon.project(name, PAUSE, ALIVE)
        begin(daemon, "app")
        logs = daemon.home / "logs"
        with nothing_changes(daemon):
            logs.chmod(0o500)
            problem = refused(daemon.ask("POST", "/projects/other/runtime/start"), 503, "log_unusable")
            refused(daemon.ask("GET", "/projects/other/runtime/logs"), 503, "log_unusable")
            told(att(daemon, "runtime", "logs", "other"), problem)
            logs.chmod(0o755)
        assert daemon.ask("POST", "/projects/other/runtime/start").status == 200


# -- full


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "att-test", str(folder)], capture_output=True
    )
    if made.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    """Take what is left of the disk."""
    with file.open("ab", buffering=0) as filler:
        for piece in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    filler.write(bytes(piece))
            except OSError:
                continue


def test_a_full_disk(tmp_path: Path) -> None:
    talk = [sys.executable, "-u", "-c", f"import signal\n{TEN_LINES}\nsignal.pause()"]
    with small_disk(tmp_path / "disk", "24m") as disk, running(disk / "home") as daemon:
        for name in ("other", "app"):
            daemon.project(name, talk, ALIVE)
            assert daemon.ask("POST", f"/projects/{name}/runtime/start").status == 200
        lines = eventually_sync(lambda: got if len(got := log_lines(daemon, "app")) == 10 else [])
        fill(disk / "filler")
        with nothing_changes(daemon):
            for _ in range(2):
                asked = daemon.ask("POST", "/projects", {"name": "new", "template": "echo"})
                problem = refused(asked, 507, "disk_full")
            told(att(daemon, "project", "create", "new", "--template", "echo"), problem)
            refused(daemon.ask("POST", "/projects/other/runtime/start"), 507, "disk_full")
            refused(daemon.ask("POST", "/projects/app/runtime/stop"), 507, "disk_full")
            line = cannot_start(try_to_serve(disk / "another", free_port()), "disk_full", 1)
            assert "no space left" in line["detail"]
            shutil.rmtree(disk / "another")
        assert daemon.stop() == 0  # what it says does not fit on the disk either
        assert kept_by(daemon.home) == set()
        (disk / "filler").unlink()
        assert whole(daemon.home)
        with running(daemon.home) as again:
            found = eventually_sync(lambda: got if len(got := log_lines(again, "app")) == 20 else [])
            assert found[:10] == lines
            assert again.ask("POST", "/projects", {"name": "new", "template": "echo"}).status == 201


def test_an_app_goes_on_when_its_log_cannot_be_kept(tmp_path: Path) -> None:
    script = tmp_path / "talk.py"
    script.write_text(TALK)
    with (
        small_disk(tmp_path / "disk", "24m") as disk,
        running(disk / "home", ATT_LOG_LEVEL="warning", ATT_LOG_SEGMENT="256KiB") as daemon,
    ):
        daemon.project("app", [sys.executable, str(script)], ALIVE)
        assert daemon.ask("POST", "/projects/app/runtime/start").status == 200
        fill(disk / "filler")

        def health(status: str) -> Any:
            now = daemon.ask("GET", "/health").json
            return now if now["status"] == status else None

        found = eventually_sync(lambda: health("degraded"))
        (check,) = [check for check in found["checks"] if not check["ok"]]
        assert check["name"] == "logs"
        assert "app" in check["reason"]
        before = daemon.ask("GET", "/projects/app/runtime/status").json
        newest = daemon.ask("GET", "/projects/app/runtime/logs?limit=1").json["lines"][0]
        query = f"cursor={newest['cursor']}&limit=1&wait=10"
        later = daemon.ask("GET", f"/projects/app/runtime/logs?{query}").json
        assert number(later["lines"][0]) == number(newest) + 1
        after = daemon.ask("GET", "/projects/app/runtime/status").json
        assert (after["run_id"], after["state"]) == (before["run_id"], "running")
        (disk / "filler").unlink()
        eventually_sync(lambda: health("ok"), 30)


def whole(home: Path) -> bool:
    with closing(sqlite3.connect(home / "att.db")) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def number(line: dict[str, Any]) -> int:
    found = re.match(r"line (\d+)", line["text"])
    assert found, line
    return int(found[1])
