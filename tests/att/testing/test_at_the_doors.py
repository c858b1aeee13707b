"""Tests at the doors of a real daemon: begun, followed, read, and cut off by kill -9."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.att.testing.bench import make_project
from tests.contract.house import alive, att
from tests.daemon import RunningDaemon, running, start
from tests.support import eventually_sync

SLOW = """
import os, pathlib, time
def test_good(): pass
def test_slow():
    pathlib.Path("pid.new").write_text(str(os.getpid()))
    os.rename("pid.new", "pid")
    time.sleep(600)
"""


def project(daemon: RunningDaemon, name: str, text: str) -> Path:
    folder = make_project(daemon.home / "projects" / name, tests__test_a=text)
    made = daemon.ask("POST", "/projects", {"path": str(folder)})
    assert made.status == 201, made.text
    return folder


def test_a_run_is_begun_followed_and_read_by_both_doors(tmp_path: Path) -> None:
    with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
        project(daemon, "app", "def test_good(): pass\ndef test_bad(): assert 0, 'no'\n")
        begun = daemon.ask("POST", "/projects/app/test/run", {"paths": ["tests"]})
        assert begun.status == 202, begun.text
        status = f"/projects/app/workflows/runs/{begun.json['run_id']}"
        followed = [
            json.loads(line) for line in daemon.ask("GET", f"{status}?format=ndjson").text.splitlines()
        ]
        assert followed[-1]["type"] == "done" and followed[-1]["state"] == "failed"
        found = daemon.ask("GET", "/projects/app/test/results").json
        assert (found["status"], found["counts"]["passed"], found["counts"]["failed"]) == ("failed", 1, 1)
        said = att(daemon, "test", "results", "app", "--failed", "--json")
        assert said.code == 0, said
        assert [case["id"] for case in said.json["tests"]] == ["tests/test_a.py::test_bad"]
        refused = daemon.ask("POST", "/projects/app/test/run", {"paths": ["../x"]})
        assert (refused.status, refused.json["code"]) == (403, "path_outside_project")
        assert daemon.ask("POST", "/projects/app/test/run", {"paths": ["-x"]}).status == 422
        errors = daemon.ask("GET", "/projects/app/debug/errors?group=true")
        assert errors.status == 200 and errors.json["errors"] == []
        assert daemon.ask("GET", "/projects/app/debug/profile").status in (404, 422)


@pytest.mark.slow
def test_after_kill_9_the_run_is_interrupted_and_nothing_of_it_lives(tmp_path: Path) -> None:
    home = tmp_path / "home"
    daemon = start(home, ATT_LOG_LEVEL="warning")
    folder = project(daemon, "app", SLOW)
    begun = daemon.ask("POST", "/projects/app/test/run", {})
    assert begun.status == 202, begun.text
    pid = int(eventually_sync(lambda: (folder / "pid").exists() and (folder / "pid").read_text(), 20))
    daemon.kill()
    with running(home, ATT_LOG_LEVEL="warning") as second:
        run = second.ask("GET", f"/projects/app/workflows/runs/{begun.json['run_id']}").json
        assert run["state"] == "interrupted"
        assert second.ask("GET", "/projects/app/test/results").json["status"] == "interrupted"
        assert not alive(pid)
        again = second.ask("POST", "/projects/app/test/run?wait=30", {"keyword": "good"})
        assert again.json["state"] == "succeeded", again.text
