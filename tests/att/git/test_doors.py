"""The git room of a real daemon, over HTTP and by the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from att.cli.main import main
from tests.att.git.house import alone
from tests.contract.house import refused
from tests.daemon import Answer, RunningDaemon, running

MESSAGE = "Add a — with a body\n\n# not a comment\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("git")
    with pytest.MonkeyPatch.context() as patch:
        alone(patch, folder / "user")
        with running(folder / "home", ATT_LOG_LEVEL="warning") as daemon:
            yield daemon
            assert "Traceback" not in daemon.said


def att(daemon: RunningDaemon, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = main(["git", *words, "--json", "--home", str(daemon.home), "--url", daemon.url])
    return code, json.loads(capsys.readouterr().out)


def test_a_project_becomes_a_repository_with_branches_at_both_doors(
    daemon: RunningDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.project("app", ["sleep", "1"])
    folder = daemon.home / "projects" / "app"

    def ask(method: str, what: str, **body: Any) -> Answer:
        return daemon.ask(method, f"/projects/app/git/{what}", body or None)

    refused(ask("GET", "status"), 409, "not_a_repository")
    code, told = att(daemon, capsys, "status", "app")
    assert (code, told["code"]) == (1, "not_a_repository")
    assert ask("POST", "init", branch="main").json["branch"] == "main"
    refused(ask("POST", "commit", message="x"), 409, "nothing_staged")
    (folder / "a b.txt").write_text("1\n")
    code, told = att(daemon, capsys, "add", "app", "a b.txt")
    assert (code, told["untracked"]) == (0, ["att.toml"])
    made = ask("POST", "commit", message=MESSAGE)
    assert made.json["commit"]["message"] == MESSAGE
    _, told = att(daemon, capsys, "log", "app", "a b.txt")
    assert told == ask("GET", "log").json
    assert told["commits"][0]["id"] == made.json["commit"]["id"]
    (folder / "a b.txt").write_text("2\n")
    code, told = att(daemon, capsys, "diff", "app")
    assert (code, told) == (0, ask("GET", "diff").json)
    assert told["files"][0] == {
        "path": "a b.txt",
        "change": "modified",
        "old_path": None,
        "insertions": 1,
        "deletions": 1,
        "binary": False,
    }
    code, told = att(daemon, capsys, "commit", "app", "--message", "by command", "--all")
    assert (code, told["branch"]) == (0, "main")
    code, told = att(daemon, capsys, "branch", "app", "feature/x", "--switch")
    assert (code, told["current"]) == (0, "feature/x")
    assert {b["name"] for b in ask("GET", "branches").json["branches"]} == {"main", "feature/x"}
    refused(ask("POST", "branch", name="a..b"), 422, "invalid_branch_name")
    refused(ask("POST", "fetch"), 409, "no_remote")
    made = ask("POST", "push").json
    assert (made["remote_made"], made["upstream"]) == (True, "origin/feature/x")
    refused(ask("POST", "add", path=["../../token"]), 403, "path_outside_project")
    refused(daemon.ask("GET", "/projects/nobody/git/status"), 404, "project_not_found")
    events = daemon.ask("GET", "/projects/app/events?type=git.*&order=oldest").json["events"]
    assert [event["event_type"] for event in events] == [
        "git.commit",
        "git.commit",
        "git.branch",
        "git.remote",
        "git.push",
    ]
    assert "body" not in json.dumps(events)


def test_a_clone_is_pushed_back(daemon: RunningDaemon, tmp_path: Path) -> None:
    """A bare repository below the allowed roots is a remote as any other."""
    home = daemon.home / "projects"
    made = daemon.ask("POST", "/projects", {"name": "origin", "template": "echo"})
    assert made.status == 201
    assert daemon.ask("POST", "/projects/origin/git/init", {"branch": "main"}).status == 200
    daemon.ask("POST", "/projects/origin/git/add", {"all": True})
    daemon.ask("POST", "/projects/origin/git/commit", {"message": "first"})
    cloned = daemon.ask("POST", "/projects", {"name": "copy", "clone_url": str(home / "origin")})
    assert cloned.status == 201, cloned.text
    daemon.ask("POST", "/projects/copy/git/branch", {"name": "work", "switch": True})
    daemon.ask("POST", "/projects/copy/git/commit", {"message": "second", "allow_empty": True})
    pushed = daemon.ask("POST", "/projects/copy/git/push", {"set_upstream": True})
    assert (pushed.status, pushed.json["result"]) == (200, "created")
    status = daemon.ask("GET", "/projects/copy/git/status").json
    assert (status["upstream"], status["ahead"], status["clean"]) == ("origin/work", 0, True)
    assert daemon.ask("POST", "/projects/copy/git/fetch", {}).json == {
        "remote": "origin",
        "updated": [],
        "attempts": 1,
    }
