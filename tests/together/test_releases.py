"""Another release takes over beside the one that runs, or does not; and what is left when none can live."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.support import eventually_sync
from tests.together.house import COUNTER, SLEEPER, Follower, House, Visitor, housed
from tests.together.test_lives import counted_once

FLAGS = ("--probation", "1", "--hang", "6")


def add_release(house: House, name: str, module: str = "att.daemon") -> None:
    """A release that is this very code, there all at once: a half-made one would be cleared away."""
    folder = house.home.parent / name
    (folder / "env" / "bin").mkdir(parents=True)
    python = folder / "env" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    body = {"id": name, "version": "1", "built_at": "2026-01-01T00:00:00Z", "module": module}
    (folder / "release.json").write_text(json.dumps(body))
    (house.home / "releases").mkdir(exist_ok=True)
    folder.rename(house.home / "releases" / name)


def switch(house: House, name: str) -> None:
    answer = house.ask("POST", f"/releases/{name}/switch")
    assert answer.status < 300, answer.text


def release(house: House) -> str:
    answer = house.ask("GET", "/health")
    return str(answer.json["release"]) if answer.status == 200 else ""


def test_a_standby_takes_over_with_no_line_lost_and_nobody_refused(home: Path) -> None:
    with housed(home, *FLAGS) as house:
        project = house.start_app("count", COUNTER)
        app = house.status(project)["pid"]
        follower, visitor = Follower(house, project), Visitor(house)
        follower.start()
        visitor.start()
        eventually_sync(lambda: follower.has(1000))
        add_release(house, "r2")
        switch(house, "r2")
        eventually_sync(lambda: release(house) == "r2", 30)
        eventually_sync(lambda: house.journal("good"), 30)
        visitor.stop()
        assert (visitor.refused, visitor.broken) == ([], [])
        assert all(answer.status == 200 for answer in visitor.answers)
        assert house.status(project)["pid"] == app
        counted_once(house, project, follower)
        assert "standing_by" in house.said


def test_a_standby_that_cannot_read_the_store_never_takes_over(home: Path) -> None:
    with housed(home, *FLAGS) as house:
        project = house.start_app("sleep", SLEEPER)
        app, daemon = house.status(project)["pid"], house.daemon_pid()
        with sqlite3.connect(
            house.home / "att.db"
        ) as database:  # as a release from the future would leave it
            database.execute("UPDATE alembic_version SET version_num = '9999'")
            database.execute("UPDATE meta SET value = '\"9999\"' WHERE key = 'compatible_from'")
        add_release(house, "r2")
        switch(house, "r2")
        eventually_sync(lambda: house.journal("standby_lost"), 30)
        assert (house.daemon_pid(), release(house)) == (daemon, "installed")
        assert house.status(project)["pid"] == app


def test_in_safe_mode_apps_are_kept_and_can_be_stopped_and_no_more(home: Path) -> None:
    with housed(home, *FLAGS, "--module", "tests.together.dying") as house:
        project = house.start_app("sleep", SLEEPER)
        before = house.status(project)
        (house.home / "die").touch()
        house.kill_daemon()
        eventually_sync(lambda: house.daemon_pid(), 60)
        health = house.ask("GET", "/health").json
        assert (health["safe_mode"], health["status"]) == (True, "degraded")
        now = house.status(project)
        assert (now["pid"], now["state"]) == (before["pid"], "running")
        assert "safe mode" in now["warnings"][0]
        for wish in ("start", "restart"):
            refused = house.ask("POST", f"/projects/{project}/runtime/{wish}")
            assert (refused.status, refused.json["code"]) == (409, "safe_mode")
        for wish in ("run", "rollback"):
            refused = house.ask("POST", f"/projects/{project}/deploy/{wish}", {})
            assert (refused.status, refused.json["code"]) == (409, "safe_mode")
        assert house.ask("POST", f"/projects/{project}/runtime/stop").status == 200
        assert house.status(project)["exit_signal"] == signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_a_standby_too(home: Path, number: int) -> None:
    with housed(home, *FLAGS) as house:
        add_release(house, "r2")
        switch(house, "r2")
        house.process.send_signal(number)
        assert house.process.wait(30) == 0
