"""The deploy room at both doors of a real daemon: the same answers, the same refusals; what is deployed is what comes back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.contract.house import att, refused
from tests.daemon import RunningDaemon, running, start
from tests.support import eventually_sync, free_port

SERVER = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write({version!r}.encode())
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def make(daemon: RunningDaemon, name: str) -> Path:
    project = daemon.project(
        name, [sys.executable, "server.py", "{port}"], f"port = {free_port()}\nstop_grace = 2\n"
    )
    folder = daemon.home / "projects" / project
    (folder / "server.py").write_text(SERVER.format(version="1"))
    return folder


def says(daemon: RunningDaemon, project: str) -> str:
    port = daemon.ask("GET", f"/projects/{project}/runtime/status").json["port"]
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("deploy") / "home") as daemon:
        yield daemon
        assert "Traceback" not in daemon.said


REFUSALS = [
    ("run", {}, 409, "no_artefact"),
    ("run", {"artefact_id": "none-such"}, 404, "artefact_not_found"),
    ("run", {"artefact_id": "../up"}, 422, "invalid_request"),
    ("run", {"health_timeout": 0}, 422, "invalid_request"),
    ("rollback", {}, 409, "no_previous_version"),
    ("rollback", {"artefact_id": "none-such"}, 404, "artefact_not_found"),
    ("build", {"revision": "-x"}, 422, "invalid_request"),
    ("build", {"unknown": 1}, 422, "invalid_request"),
]


def test_each_refusal_is_the_same_at_both_doors(daemon: RunningDaemon) -> None:
    make(daemon, "refused")
    for verb, body, status, code in REFUSALS:
        found = refused(daemon.ask("POST", f"/projects/refused/deploy/{verb}", body), status, code)
        if code == "invalid_request":
            continue
        flags = [word for name, value in body.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        said = att(daemon, "deploy", verb, "refused", *flags, "--json")
        told = json.loads(said.err or said.out)
        assert (said.code, told["code"], told["detail"]) == (1, code, found["detail"])
    for verb in ("build", "run", "rollback"):
        refused(daemon.ask("POST", f"/projects/nobody/deploy/{verb}", {}), 404, "project_not_found")
    for verb in ("status", "history"):
        refused(daemon.ask("GET", f"/projects/nobody/deploy/{verb}"), 404, "project_not_found")


def test_the_story_of_a_version(daemon: RunningDaemon) -> None:
    folder = make(daemon, "story")
    built = daemon.ask("POST", "/projects/story/deploy/build?wait=30", {})
    assert (built.status, built.json["state"], built.json["kind"]) == (202, "succeeded", "deploy.build"), (
        built.text
    )
    first = built.json["result"]["artefact"]["artefact_id"]
    run = daemon.ask("POST", "/projects/story/deploy/run?wait=30", {"artefact_id": first})
    assert run.json["state"] == "succeeded", run.text
    again = daemon.ask("POST", "/projects/story/deploy/run", {"artefact_id": first})
    refused(again, 409, "already_deployed")
    (folder / "server.py").write_text(SERVER.format(version="2"))
    by_hand = att(daemon, "deploy", "run", "story", "--build", "--wait", "30", "--json")
    assert (by_hand.code, by_hand.json["state"]) == (0, "succeeded"), by_hand
    assert says(daemon, "story") == "2"
    (folder / "server.py").write_text("import sys; sys.exit('boom')")
    bad = daemon.ask("POST", "/projects/story/deploy/run?wait=30", {"build": True}).json
    assert (bad["state"], bad["problem"]["code"]) == ("failed", "deploy_failed")
    assert says(daemon, "story") == "2"
    assert daemon.ask("POST", "/projects/story/deploy/rollback?wait=30", {}).json["state"] == "succeeded"
    assert says(daemon, "story") == "1"
    status = daemon.ask("GET", "/projects/story/deploy/status")
    assert att(daemon, "deploy", "status", "story", "--json").json == status.json
    assert (status.json["running"], status.json["source"]) == (first, "deployed")
    history = daemon.ask("GET", "/projects/story/deploy/history?limit=10")
    states = [(one["kind"], one["state"]) for one in history.json["deploys"]]
    assert states == [
        ("rollback", "succeeded"),
        ("deploy", "rolled_back"),
        ("deploy", "succeeded"),
        ("deploy", "succeeded"),
    ]


def test_after_a_restart_of_the_daemon_the_deployed_version_runs(tmp_path: Path) -> None:
    daemon = start(tmp_path / "home")
    try:
        folder = make(daemon, "kept")
        assert (
            daemon.ask("POST", "/projects/kept/deploy/run?wait=30", {"build": True}).json["state"]
            == "succeeded"
        )
        (folder / "server.py").write_text(SERVER.format(version="edited"))
        daemon.stop()
        daemon = start(tmp_path / "home")
        eventually_sync(lambda: daemon.ask("GET", "/projects/kept/runtime/status").json["healthy"], 20)
        assert says(daemon, "kept") == "1"
    finally:
        daemon.stop()
