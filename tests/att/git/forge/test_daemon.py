"""The forge in a real daemon: by its HTTP door, and over the daemon's death."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.att.git.forge.hub import git
from tests.att.git.forge.worlds import repository
from tests.daemon import RunningDaemon, running, start
from tests.support import eventually_sync

PR = "/projects/app/git/pr"
ACTIONS = "/projects/app/git/actions"


def project(daemon: RunningDaemon, gate: Path) -> Path:
    """A project with work on the branch `feature`, and no remote."""
    folder = daemon.home / "projects" / "app"
    repository(folder, gate)
    assert daemon.ask("POST", "/projects", {"path": str(folder)}).status == 201
    git(folder, "checkout", "-q", "-b", "feature")
    (folder / "work.txt").write_text("work")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "work")
    return folder


def check(daemon: RunningDaemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.ask("GET", ACTIONS).json["checks"][0]
    return found


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_from_a_commit_to_the_merge_by_http(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        folder = project(daemon, tmp_path / "gate")
        made = daemon.ask("POST", PR, {"title": "The work"})
        assert (made.status, made.json["number"], made.json["mergeable"]) == (201, 1, "blocked")
        refused = daemon.ask("POST", f"{PR}/merge", {"number": 1})
        assert (refused.status, refused.json["code"]) == (409, "checks_pending")
        (tmp_path / "gate").write_text("0")
        log = daemon.ask("GET", f"{ACTIONS}/{check(daemon)['id']}/logs", Accept="application/x-ndjson")
        pieces = [json.loads(line) for line in log.text.splitlines()]
        assert (pieces[-1]["complete"], pieces[-1]["conclusion"]) == (True, "success")
        assert "all is said" in "".join(piece["text"] for piece in pieces)
        approve = daemon.ask("POST", f"{PR}/reviews", {"number": 1, "verdict": "approve"})
        assert (approve.status, approve.json["code"]) == (409, "own_review")
        empty = daemon.ask("POST", f"{PR}/reviews", {"number": 1, "verdict": "comment"})
        assert (empty.status, empty.json["fields"][0]["field"]) == (422, "body")
        wish = {"number": 1, "verdict": "comment", "body": "ok"}
        assert daemon.ask("POST", f"{PR}/reviews", wish).status == 201
        assert len(daemon.ask("GET", f"{PR}/reviews?number=1").json["reviews"]) == 1
        merged = daemon.ask("POST", f"{PR}/merge", {"number": 1, "method": "squash"})
        assert merged.status == 200, merged.text
        assert daemon.ask("GET", f"{PR}/1").json["state"] == "merged"
        fetched = daemon.ask("POST", "/projects/app/git/fetch", {"remote": "origin"})
        assert fetched.status == 200, fetched.text
        assert git(folder, "rev-parse", "origin/main") == merged.json["sha"]
        assert "Traceback" not in daemon.said


@pytest.mark.slow
def test_a_check_outlives_a_daemon_that_is_killed_and_leaves_no_process(tmp_path: Path) -> None:
    daemon = start(tmp_path / "home")
    try:
        folder = project(daemon, tmp_path / "gate")
        script = f"echo $$ >> {tmp_path}/pids; [ -e {tmp_path}/gate ] || exec sleep 600"
        (folder / "att.toml").write_text(f"[ci]\ncommand = {json.dumps(['sh', '-c', script])}\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "ci")
        assert daemon.ask("POST", PR, {"title": "The work"}).status == 201
        pids = tmp_path / "pids"
        eventually_sync(lambda: pids.exists() and pids.read_text().strip())
        pid = int(pids.read_text())
        daemon.kill()
        assert lives(pid)
        (tmp_path / "gate").write_text("0")
        daemon = start(tmp_path / "home")
        eventually_sync(lambda: not lives(pid))
        eventually_sync(lambda: check(daemon)["conclusion"] == "success")
        assert len(pids.read_text().split()) == 2
        eventually_sync(lambda: not list((tmp_path / "home" / "forge" / "work").glob("*")))
        assert daemon.ask("POST", f"{PR}/merge", {"number": 1}).status == 200
    finally:
        daemon.stop()
