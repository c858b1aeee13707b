"""Whoever waits for something when the daemon is told to leave is answered, and holds it up for no longer than that."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from tests.att.git.forge.hub import git
from tests.daemon import Answer, RunningDaemon, start
from tests.support import eventually_sync

CHECKS = "/projects/app/git/actions"


def project(daemon: RunningDaemon) -> None:
    """Its check says a word, and then nothing for a long time."""
    daemon.project(
        "app", ["sleep", "600"], f"[ci]\ncommand = {json.dumps(['sh', '-c', 'echo on; sleep 600'])}\n"
    )
    folder = daemon.home / "projects" / "app"
    git(folder, "init", "-q", "-b", "main")
    for branch in ("main", "feature"):
        if branch != "main":
            git(folder, "checkout", "-q", "-b", branch)
        (folder / f"{branch}.txt").write_text(branch)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", branch)
    assert daemon.ask("POST", "/projects/app/git/pr", {"title": "The work"}).status == 201


@pytest.mark.slow
def test_waits_are_answered_when_the_daemon_leaves(tmp_path: Path) -> None:
    daemon = start(tmp_path / "home")
    try:
        project(daemon)
        log = ""

        def said() -> str:
            found = daemon.ask("GET", CHECKS).json["checks"]
            piece = daemon.ask("GET", f"{CHECKS}/{found[0]['id']}/logs").json if found else {"text": ""}
            nonlocal log
            if "on\n" in piece["text"]:
                log = f"{CHECKS}/{found[0]['id']}/logs?cursor={piece['next_cursor']}&wait=50"
            return log

        eventually_sync(said, 20)
        answers: dict[str, Answer] = {}

        def wait(path: str) -> None:
            answers[path] = daemon.ask("GET", path)

        paths = [log, "/events/stream?wait=50", "/projects/app/events/stream?wait=50"]
        waits = [threading.Thread(target=wait, args=(path,)) for path in paths]
        for each in waits:
            each.start()
        assert daemon.ask("GET", "/health").status == 200
        began = time.monotonic()
        daemon.stop()
        took = time.monotonic() - began
        for each in waits:
            each.join(20)
        assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(paths, 200)
        assert took < 8, took  # they would be waited for for ten seconds, and cut off then
        assert "Traceback" not in daemon.said
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
