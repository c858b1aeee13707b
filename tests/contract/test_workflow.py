"""Long work at the doors of a real daemon: begun, followed to its end, cancelled, and gone on with after kill -9."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from att.cli.main import main
from tests.daemon import RunningDaemon, running, start
from tests.support import eventually_sync

TESTS = """
import os, pathlib, time
def test_it():
    with open(os.environ.get("ATT_TRACE", "{trace}"), "a") as out:
        out.write("begun\\n")
    gate = pathlib.Path("{gate}")
    while not gate.exists():
        time.sleep(0.01)
    assert pathlib.Path("value.txt").read_text() != "bad"
"""


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Somebody", "-c", "user.email=s@example.org")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


class Demo:
    """A project with a repository, whose one test waits for a gate and then looks at `value.txt`."""

    def __init__(self, daemon: RunningDaemon, name: str = "demo") -> None:
        self.home = daemon.home
        self.name = name
        self.folder = daemon.home / "projects" / name
        self.gate = daemon.home / f"{name}.gate"
        self.trace = daemon.home / f"{name}.trace"
        self.folder.mkdir(parents=True)
        (self.folder / "value.txt").write_text("first")
        (self.folder / ".gitignore").write_text(".venv\n__pycache__\n.pytest_cache\n")
        text = TESTS.format(trace=self.trace, gate=self.gate)
        (self.folder / "test_value.py").write_text(text)
        (self.folder / ".venv").symlink_to(sys.prefix)
        git(self.folder, "init", "-q", "-b", "main")
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "-m", "first")
        made = daemon.ask("POST", "/projects", {"name": name, "path": str(self.folder)})
        assert made.status == 201, made.text

    @property
    def at(self) -> str:
        return f"/projects/{self.name}/workflows"

    @property
    def begun(self) -> int:
        return len(self.trace.read_text().splitlines()) if self.trace.exists() else 0

    @property
    def state(self) -> tuple[str, str, str]:
        return (
            (self.folder / "value.txt").read_text(),
            git(self.folder, "rev-list", "--count", "HEAD").strip(),
            git(self.folder, "status", "--porcelain"),
        )

    def change(self, daemon: RunningDaemon, content: str, wait: float = 0) -> dict[str, Any]:
        ask = {"message": f"Say {content}", "changes": [{"path": "value.txt", "content": content}]}
        begun = daemon.ask("POST", f"{self.at}/change-test?wait={wait}", ask)
        assert begun.status == 202, begun.text
        told: dict[str, Any] = begun.json
        return told

    def run(self, daemon: RunningDaemon, run_id: str, wait: float = 0) -> dict[str, Any]:
        answer = daemon.ask("GET", f"{self.at}/runs/{run_id}?wait={wait}")
        assert answer.status == 200, answer.text
        told: dict[str, Any] = answer.json
        return told


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("workflow") / "home", ATT_LOG_LEVEL="warning") as daemon:
        yield daemon
        assert "Traceback" not in daemon.said


@pytest.fixture(scope="module")
def demo(daemon: RunningDaemon) -> Demo:
    return Demo(daemon)


def stream(daemon: RunningDaemon, path: str, accept: str, last: str = "") -> list[dict[str, Any]]:
    """What a stream tells until its end."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    head = {"Authorization": f"Bearer {daemon.token}", "Accept": accept} | (
        {"Last-Event-ID": last} if last else {}
    )
    with closing(connection):
        connection.request("GET", f"/api/v1{path}", headers=head)
        answer = connection.getresponse()
        assert answer.status == 200
        lines = answer.read().decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith(("{", "data: "))]


def test_a_change_is_committed_and_its_stream_ends_with_done(daemon: RunningDaemon, demo: Demo) -> None:
    demo.gate.touch()
    run = demo.change(daemon, "second")
    assert run["state"] in ("queued", "running")
    told = stream(daemon, f"{demo.at}/runs/{run['run_id']}", "application/x-ndjson")
    assert told[-1]["type"] == "done"
    assert (told[-1]["state"], told[-1]["error"]) == ("succeeded", None)
    assert [t["phase"] for t in told if t["type"] == "progress" and t["line"] == t["phase"]] == [
        *("look", "change", "test", "commit", "tell")
    ]
    again = stream(daemon, f"{demo.at}/runs/{run['run_id']}", "text/event-stream", told[1]["cursor"])
    assert again == told[2:]
    assert demo.state == ("second", "2", "")
    listed = daemon.ask("GET", f"{demo.at}/runs?kind=workflow.change_test&limit=1").json
    assert listed["runs"][0]["run_id"] == run["run_id"]


def test_a_change_whose_tests_fail_is_undone(daemon: RunningDaemon, demo: Demo) -> None:
    demo.gate.touch()
    before = demo.state
    run = demo.change(daemon, "bad", wait=60)
    assert run["state"] == "failed"
    assert run["problem"]["code"] == "tests_failed"
    assert run["problem"]["test"]["counts"]["failed"] == 1
    assert demo.state == before
    refused = daemon.ask("POST", f"{demo.at}/runs/{run['run_id']}/cancel", {})
    assert (refused.status, refused.json["code"]) == (409, "run_ended")


def test_a_cancel_ends_the_tests_and_undoes_the_change(daemon: RunningDaemon, demo: Demo) -> None:
    demo.gate.unlink(missing_ok=True)
    before, begun = demo.state, demo.begun
    run = demo.change(daemon, "cancelled")
    eventually_sync(lambda: demo.begun > begun, 30)
    busy = daemon.ask(
        "POST", f"{demo.at}/change-test", {"message": "x", "changes": [{"path": "y", "content": "z"}]}
    )
    assert (busy.status, busy.json["code"], busy.json["run_id"]) == (409, "run_busy", run["run_id"])
    ended = daemon.ask("POST", f"{demo.at}/runs/{run['run_id']}/cancel?wait=30", {}).json
    assert (ended["state"], ended["problem"]) == ("cancelled", None)
    assert demo.state == before
    assert not processes_of(demo)
    demo.gate.touch()
    resumed = daemon.ask("POST", f"{demo.at}/runs/{run['run_id']}/resume?wait=30", {})
    assert resumed.status == 202, resumed.text
    assert resumed.json["state"] == "succeeded"
    assert demo.state[0] == "cancelled"


def processes_of(demo: Demo) -> list[str]:
    """The processes that run tests of this project."""
    done = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if str(demo.folder) in line and "pytest" in line]


@pytest.mark.parametrize("as_json", [False, True], ids=["people", "json"])
@pytest.mark.parametrize("content", ["bad", "good"])
def test_the_command_follows_a_run_to_its_end(
    daemon: RunningDaemon,
    demo: Demo,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    as_json: bool,
) -> None:
    monkeypatch.setenv("ATT_HOME", str(daemon.home))
    monkeypatch.setenv("ATT_LISTEN", f"127.0.0.1:{daemon.port}")
    demo.gate.touch()
    value = f"{content} {as_json}" if content == "good" else "bad"
    patch = json.dumps([{"path": "value.txt", "content": value}])
    words = ["workflow", "change-test", "demo", "--message", "By hand", "--changes", patch]
    code = main([*words, *(["--json"] if as_json else [])])
    printed = capsys.readouterr()
    assert code == (0 if content == "good" else 1), printed
    if as_json:
        run = json.loads(printed.out)
        assert run["state"] == ("succeeded" if content == "good" else "failed")
        assert printed.err == ""
    else:
        assert "look\nchange\ntest\n" in printed.err
        assert ("Error: " in printed.err) == (content == "bad")
        assert ("succeeded" if content == "good" else "tests_failed") in printed.out


# -- kill -9


def live(demo: Demo, home: Path, chance: random.Random, seconds: float) -> None:
    """One life, killed at some moment."""
    import time

    daemon = start(home, ATT_LOG_LEVEL="warning")
    try:
        time.sleep(chance.uniform(0.0, seconds))  # a moment of its own is what is tried here
    finally:
        daemon.kill()
    assert "Traceback" not in daemon.said


@pytest.mark.timeout(200)
@pytest.mark.parametrize("lives", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_killed_at_any_moment_a_change_is_made_once_or_not_at_all(tmp_path: Path, lives: int) -> None:
    seed = int(os.environ.get("ATT_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance, home = random.Random(seed), tmp_path / "home"
    first = start(home, ATT_LOG_LEVEL="warning")
    try:
        demo = Demo(first)
        demo.gate.touch()
    finally:
        first.kill()
    runs: list[str] = []
    for life in range(lives):
        daemon = start(home, ATT_LOG_LEVEL="warning")
        try:
            eventually_sync(lambda d=daemon: not under_way(demo, d), 60)  # type: ignore[misc]
            good = chance.random() < 0.6
            runs.append(demo.change(daemon, f"life {life}" if good else "bad")["run_id"])
            import time

            time.sleep(chance.uniform(0.0, 1.2))
        finally:
            daemon.kill()
        if chance.random() < 0.5:
            live(demo, home, chance, 0.8)
    with running(home, ATT_LOG_LEVEL="warning") as daemon:
        eventually_sync(lambda: not under_way(demo, daemon), 60)
        told = [demo.run(daemon, run_id) for run_id in runs]
        events = daemon.ask("GET", "/events?type=workflow.*&limit=1000&order=oldest").json["events"]
        check(demo, told, events)
        assert not processes_of(demo)
        assert "Traceback" not in daemon.said


def under_way(demo: Demo, daemon: RunningDaemon) -> list[dict[str, Any]]:
    runs = daemon.ask("GET", f"{demo.at}/runs?limit=1000").json["runs"]
    return [run for run in runs if run["state"] in ("queued", "running")]


def check(demo: Demo, runs: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    """Each run has ended; what succeeded was committed once, and what did not left nothing."""
    committed = git(demo.folder, "log", "--format=%s").splitlines()
    good = [run for run in runs if run["state"] == "succeeded"]
    assert {run["state"] for run in runs} <= {"succeeded", "failed", "interrupted"}
    assert Counter(run["input"]["message"] for run in good) == Counter(committed[:-1])
    for run in runs:
        assert run["state"] == "succeeded" or "not_undone" not in run["problem"]
    last = good[-1]["input"]["changes"][0]["content"] if good else "first"
    assert demo.state == (last, str(1 + len(good)), "")
    done = Counter(
        (event["payload"]["run_id"], event["payload"]["step"])
        for event in events
        if event["event_type"] == "workflow.step" and event["payload"]["state"] == "done"
    )
    assert set(done.values()) <= {1}, "a step was done again after its checkpoint"
    ends = Counter(
        event["payload"]["run_id"]
        for event in events
        if event["event_type"].rpartition(".")[2] in ("succeeded", "failed", "cancelled", "interrupted")
    )
    assert ends == Counter({run["run_id"]: 1 for run in runs})


def test_a_daemon_that_is_told_to_stop_pauses_a_run_and_the_next_goes_on(tmp_path: Path) -> None:
    with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
        demo = Demo(daemon)
        run_id = demo.change(daemon, "later")["run_id"]
        eventually_sync(lambda: demo.begun == 1, 30)
        assert daemon.stop(20) == 0
        assert "Traceback" not in daemon.said
    assert not processes_of(demo)
    demo.gate.touch()
    with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
        run = demo.run(daemon, run_id, wait=30)
        assert run["state"] == "succeeded", run
        assert {step["name"]: step["attempts"] for step in run["steps"]} == {
            **dict.fromkeys(("look", "change", "commit", "tell"), 1),
            "test": 2,
        }
        assert demo.state == ("later", "2", "")
        told = daemon.ask("GET", "/events?type=workflow.*&limit=1000&order=oldest").json["events"]
        kinds = [event["event_type"] for event in told if event["event_type"] != "workflow.step"]
        assert kinds == [
            f"workflow.{word}" for word in ("queued", "started", "paused", "resumed", "succeeded")
        ]


@pytest.mark.slow
def test_tests_that_are_cut_off_are_told_as_interrupted(tmp_path: Path) -> None:
    with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
        demo = Demo(daemon)
        begun = daemon.ask("POST", "/projects/demo/test/run", {})
        assert begun.status == 202, begun.text
        eventually_sync(lambda: demo.begun == 1, 30)
        daemon.kill()
    with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
        run = demo.run(daemon, begun.json["run_id"])
        assert (run["state"], run["problem"]["code"]) == ("interrupted", "run_interrupted")
        refused = daemon.ask("POST", f"{demo.at}/runs/{run['run_id']}/resume", {})
        assert (refused.status, refused.json["code"]) == (409, "run_not_resumable")
        eventually_sync(lambda: not processes_of(demo))
