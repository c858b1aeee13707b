"""The rooms of the workbench in a daemon that keeps everything in PostgreSQL: a story by HTTP, a death, a server that goes.

The same rooms are held against SQLite by their own tests; what any of those says of PostgreSQL is told by
`scripts/test -p tests.on_postgres …`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.att.store.postgres_server import away, database, server
from tests.contract.house import refused
from tests.contract.test_deploy import SERVER, says
from tests.daemon import Answer, RunningDaemon, running, start
from tests.support import eventually_sync, free_port

pytestmark = pytest.mark.service
AT = "/projects/shop"
TESTS = """
import pathlib, time
def test_the_value():
    while pathlib.Path("{wait}").exists():
        time.sleep(0.01)
    assert pathlib.Path("value.txt").read_text() != "bad"
"""
SETTINGS = """
[runtime]
command = [{python!r}, "server.py", "{{port}}"]
port = {port}
stop_grace = 2
[ci]
command = ["true"]
"""
IGNORED = ".venv\n__pycache__\n.pytest_cache\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with server() as url:
        yield url


def good(answer: Answer) -> Any:
    assert answer.status < 300, answer.text
    return answer.json


def write(daemon: RunningDaemon, path: str, content: str) -> None:
    good(daemon.ask("PUT", f"{AT}/files/{path}", {"content": content}))


def commit(daemon: RunningDaemon, message: str, **headers: str) -> None:
    good(daemon.ask("POST", f"{AT}/git/add", {"all": True}))
    good(daemon.ask("POST", f"{AT}/git/commit", {"message": message}, **headers))


def done(daemon: RunningDaemon, path: str, body: object) -> dict[str, Any]:
    """Long work, to its end."""
    run: dict[str, Any] = good(daemon.ask("POST", f"{AT}/{path}?wait=50", body))
    return run


def change(daemon: RunningDaemon, content: str, wait: int = 50) -> dict[str, Any]:
    ask = {"message": f"Say {content}", "changes": [{"path": "value.txt", "content": content}]}
    run: dict[str, Any] = good(daemon.ask("POST", f"{AT}/workflows/change-test?wait={wait}", ask))
    return run


def make(daemon: RunningDaemon) -> None:
    """A project whose files came in by the door, and its first commit, made by a token of its own."""
    folder = daemon.home / "projects" / "shop"
    folder.mkdir(parents=True)
    good(daemon.ask("POST", "/projects", {"name": "shop", "path": str(folder)}))
    (folder / ".venv").symlink_to(sys.prefix)
    write(daemon, "att.toml", SETTINGS.format(python=sys.executable, port=free_port()))
    write(daemon, ".gitignore", IGNORED)
    write(daemon, "server.py", SERVER.format(version="1"))
    write(daemon, "test_value.py", TESTS.format(wait=daemon.home / "wait"))
    write(daemon, "value.txt", "first")
    good(daemon.ask("POST", f"{AT}/git/init", {}))
    new = good(daemon.ask("POST", "/tokens", {"name": "clerk", "scope": "write"}))
    commit(daemon, "First", Authorization=f"Bearer {new['token']}")
    told = daemon.ask("GET", f"{AT}/events?type=git.*&limit=1").json["events"][0]
    assert "clerk" in told["actor"]
    refused(daemon.ask("POST", "/tokens", {"name": "clerk"}), 409, "token_exists")


def pull_request(daemon: RunningDaemon) -> None:
    """From a branch to the merge, with the check between."""
    good(daemon.ask("POST", f"{AT}/git/branch", {"name": "work", "switch": True}))
    write(daemon, "work.txt", "work")
    commit(daemon, "Work")
    number = good(daemon.ask("POST", f"{AT}/git/pr", {"title": "The work", "base": "main"}))["number"]
    refused(daemon.ask("POST", f"{AT}/git/pr", {"title": "Again", "base": "main"}), 409, "pull_exists")
    checks = f"{AT}/git/actions?number={number}"
    eventually_sync(lambda: daemon.ask("GET", checks).json["state"] == "success", 20)
    comment = {"number": number, "verdict": "comment", "body": "Fine — so far. \N{OK HAND SIGN}"}
    good(daemon.ask("POST", f"{AT}/git/pr/reviews", comment))
    good(daemon.ask("POST", f"{AT}/git/pr/merge", {"number": number}))
    shown = good(daemon.ask("GET", f"{AT}/git/pr?state=all"))["pulls"]
    assert [(pull["number"], pull["state"]) for pull in shown] == [(number, "merged")]


def deploys(daemon: RunningDaemon) -> None:
    """Two versions, one that cannot begin, and back."""
    for version in ("1", "2"):
        write(daemon, "server.py", SERVER.format(version=version))
        assert done(daemon, "deploy/run", {"build": True})["state"] == "succeeded"
        assert says(daemon, "shop") == version
    write(daemon, "server.py", "raise SystemExit('boom')")
    assert done(daemon, "deploy/run", {"build": True})["problem"]["code"] == "deploy_failed"
    assert done(daemon, "deploy/rollback", {})["state"] == "succeeded"
    assert says(daemon, "shop") == "1"
    first = good(daemon.ask("GET", f"{AT}/deploy/history?limit=3"))
    rest = good(daemon.ask("GET", f"{AT}/deploy/history?limit=3&cursor={first['next_cursor']}"))
    states = [one["state"] for one in first["deploys"] + rest["deploys"]]
    assert states == ["succeeded", "rolled_back", "succeeded", "succeeded"]


def all_events(daemon: RunningDaemon, query: str = "") -> list[dict[str, Any]]:
    """Page by page, and no other than in one."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = good(daemon.ask("GET", f"/events?order=oldest&limit=7{query}{cursor}"))
        found += page["events"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == good(daemon.ask("GET", f"/events?order=oldest&limit=1000{query}"))["events"]
    return found


def test_a_project_from_its_first_file_to_its_end(tmp_path: Path, cluster: str) -> None:
    url = database(cluster, "story")
    daemon = start(tmp_path / "home", ATT_DATABASE=url)
    try:
        make(daemon)
        assert done(daemon, "test/run", {})["state"] == "succeeded"
        assert change(daemon, "bad")["problem"]["code"] == "tests_failed"
        assert change(daemon, "second")["state"] == "succeeded"
        pull_request(daemon)
        deploys(daemon)
        write(daemon, "server.py", SERVER.format(version="1"))
        before = all_events(daemon)

        (daemon.home / "wait").touch()
        run_id = change(daemon, "third", wait=0)["run_id"]
        at = f"{AT}/workflows/runs/{run_id}"
        eventually_sync(lambda: "test" in [step["name"] for step in daemon.ask("GET", at).json["steps"]], 20)
        daemon.kill()
        (daemon.home / "wait").unlink()
        daemon = start(tmp_path / "home", ATT_DATABASE=url)

        run = good(daemon.ask("GET", f"{at}?wait=50"))
        assert run["state"] == "succeeded", run
        assert {step["name"]: step["attempts"] for step in run["steps"]} == {
            **dict.fromkeys(("look", "change", "commit", "tell"), 1),
            "test": 2,
        }
        eventually_sync(lambda: daemon.ask("GET", f"{AT}/runtime/status").json["healthy"], 20)
        assert says(daemon, "shop") == "1"
        after = all_events(daemon)
        assert after[: len(before)] == before
        assert all_events(daemon, "&type=deploy.*&type=workflow.succeeded&project_id=shop")
        assert not (daemon.home / "att.db").exists()

        gone = good(daemon.ask("DELETE", f"/events?before={after[10]['timestamp']}"))
        assert gone["deleted"] == 10
        assert all_events(daemon)[:-1] == [*after[10:]]
        good(daemon.ask("POST", f"{AT}/runtime/stop"))
        good(daemon.ask("DELETE", "/projects/shop"))
        refused(daemon.ask("GET", at), 404, "project_not_found")
        assert [token["name"] for token in good(daemon.ask("GET", "/tokens"))["tokens"]] == ["owner", "clerk"]
        assert "Traceback" not in daemon.said
    finally:
        daemon.stop()


def test_a_server_that_goes_is_told_and_used_again_when_it_is_back(tmp_path: Path, cluster: str) -> None:
    url = database(cluster, "gone")
    with running(tmp_path / "home", ATT_DATABASE=url) as daemon:
        make(daemon)
        good(daemon.ask("POST", f"{AT}/runtime/start"))
        with away(cluster):
            for path in ("/projects", "/events", f"{AT}/deploy/history", f"{AT}/workflows/runs"):
                refused(daemon.ask("GET", path), 503, "database_unreachable")
            refused(daemon.ask("POST", "/tokens", {"name": "late"}), 503, "database_unreachable")
            refused(daemon.ask("POST", f"{AT}/test/run", {}), 503, "database_unreachable")
            assert good(daemon.ask("GET", f"{AT}/runtime/status"))["state"] == "running"
            assert says(daemon, "shop") == "1"
        eventually_sync(lambda: daemon.ask("GET", "/health?ready=true").status == 200)
        assert done(daemon, "test/run", {})["state"] == "succeeded"
        assert change(daemon, "second")["state"] == "succeeded"
        all_events(daemon)
        assert "Traceback" not in daemon.said
