"""Every wrong request and every start that cannot be, at both doors of a real daemon: code, sentence, hint, and nothing changed."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.att.runtime import places
from tests.contract.house import ALIVE, PAUSE, att, begin, nothing_changes, raw, refused, told
from tests.daemon import RunningDaemon, running

NAT_REFUSES = """#!/bin/sh
echo "Error: Invalid configuration: workflow: Input tag 'ecko' found using x() does not match any of the expected tags: 'a/echo'"
exit 1
"""
START, STOP, LOGS = ("/projects/%s/runtime/start", "/projects/%s/runtime/stop", "/projects/%s/runtime/logs")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    home = tmp_path_factory.mktemp("faults") / "home"
    with running(home, ATT_LOG_LEVEL="warning", ATT_BODY_LIMIT="1024") as daemon:
        daemon.project("app", PAUSE, ALIVE)
        daemon.project("other", PAUSE, ALIVE)
        for name in ("other", "app"):  # both have a log; `app` is the one that runs
            begin(daemon, name)
        yield daemon
        assert "Traceback" not in daemon.said


def nat_project(daemon: RunningDaemon, name: str) -> Path:
    """A project with a config, its component and an environment that look right."""
    folder = places.nat_project(daemon.home / "projects" / name)
    made = daemon.ask("POST", "/projects", {"name": name, "path": str(folder)})
    assert made.status == 201, made.text
    return folder


def refuses_to_start(daemon: RunningDaemon, name: str, status: int, code: str) -> dict[str, object]:
    """`start` is refused at both doors with the same words, nothing is started, and what runs goes on."""
    with nothing_changes(daemon):
        problem = refused(daemon.ask("POST", START % name), status, code)
        told(att(daemon, "runtime", "start", name), problem)
    return problem


# -- what hinders a start


def test_no_config(daemon: RunningDaemon) -> None:
    (nat_project(daemon, "no-config") / "config.yml").unlink()
    refuses_to_start(daemon, "no-config", 422, "no_config")


def test_invalid_yaml(daemon: RunningDaemon) -> None:
    (nat_project(daemon, "bad-yaml") / "config.yml").write_text("workflow: [\n")
    problem = refuses_to_start(daemon, "bad-yaml", 422, "invalid_yaml")
    assert (problem["line"], "config.yml" in str(problem["detail"])) == (2, True)


def test_unknown_component(daemon: RunningDaemon) -> None:
    folder = nat_project(daemon, "ecko")
    (folder / "config.yml").write_text("workflow:\n  _type: ecko\n")
    (folder / ".venv" / "bin" / "nat").write_text(NAT_REFUSES)
    problem = refuses_to_start(daemon, "ecko", 422, "unknown_component")
    assert (problem["component"], problem["known"]) == ("ecko", ["echo"])
    assert "did you mean `echo`" in str(problem["detail"])


def test_port_in_use_names_the_process(daemon: RunningDaemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", "0", "{port}"]
        daemon.project("port-taken", command, f"port = {port}\n{ALIVE}")
        problem = refuses_to_start(daemon, "port-taken", 409, "port_in_use")
        assert (problem["port"], problem["pid"], problem["ours"]) == (port, os.getpid(), False)
        assert f"pid {os.getpid()}" in str(problem["detail"])


@pytest.mark.parametrize("command", ["no-such-program", "./no-such-file", "/etc/passwd"])
def test_command_not_found(daemon: RunningDaemon, command: str) -> None:
    name = f"command-{len(command)}"
    daemon.project(name, [command], ALIVE)
    problem = refuses_to_start(daemon, name, 422, "command_not_found")
    assert command in str(problem["detail"])


def test_environment_missing(daemon: RunningDaemon) -> None:
    folder = daemon.home / "projects" / "no-environment"
    folder.mkdir()
    (folder / "config.yml").write_text(places.CONFIG)
    assert daemon.ask("POST", "/projects", {"name": folder.name, "path": str(folder)}).status == 201
    problem = refuses_to_start(daemon, folder.name, 409, "environment_not_built")
    assert "att runtime environment-build" in str(problem["hint"])
    assert not (folder / ".venv").exists()


def test_an_unknown_key_in_att_toml(daemon: RunningDaemon) -> None:
    daemon.project("bad-key", PAUSE, "prot = 1\n")
    problem = refuses_to_start(daemon, "bad-key", 422, "invalid_settings")
    assert problem["fields"] == [{"field": "runtime.prot", "message": "unknown key"}]


def test_a_directory_that_is_gone(daemon: RunningDaemon) -> None:
    daemon.project("gone", PAUSE, ALIVE)
    folder = daemon.home / "projects" / "gone"
    folder.joinpath("att.toml").unlink()
    folder.rmdir()
    refuses_to_start(daemon, "gone", 409, "project_directory_missing")


# -- the wrong moment


def test_second_start(daemon: RunningDaemon) -> None:
    refuses_to_start(daemon, "app", 409, "runtime_already_running")


def test_of_many_starts_at_once_one_wins(daemon: RunningDaemon) -> None:
    daemon.project("race", PAUSE, ALIVE)
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: daemon.ask("POST", START % "race"), range(8)))
        assert Counter(a.status for a in answers) == {200: 1, 409: 7}
        for answer in answers:
            if answer.status == 409:
                refused(answer, 409, "runtime_already_running")
        assert daemon.ask("GET", "/projects/race/runtime/status").json["processes"] == 1
    finally:
        begin(daemon, "app")  # which ends the other


def test_stop_when_stopped(daemon: RunningDaemon) -> None:
    with nothing_changes(daemon):
        problem = refused(daemon.ask("POST", STOP % "other"), 409, "runtime_not_running")
        told(att(daemon, "runtime", "stop", "other"), problem)


def test_an_unknown_project(daemon: RunningDaemon) -> None:
    with nothing_changes(daemon):
        for method, path in (("POST", START), ("POST", STOP), ("GET", LOGS), ("DELETE", LOGS)):
            problem = refused(daemon.ask(method, path % "nobody"), 404, "project_not_found")
        refused(daemon.ask("DELETE", "/projects/nobody"), 404, "project_not_found")
        told(att(daemon, "runtime", "logs-delete", "nobody", "--yes"), problem)


# -- cursors and limits


def test_bad_cursor(daemon: RunningDaemon) -> None:
    newest = daemon.ask("GET", LOGS % "app").json["newest_cursor"]
    tag, _, offset = newest.partition("-")
    with nothing_changes(daemon):
        for cursor in (
            "zzz",
            "-",
            f"{tag}-",
            f"{tag}--1",
            f"{tag}-{int(offset) + 1}",
            f"{tag}-1e3",
            "9" * 40,
        ):
            problem = refused(daemon.ask("GET", f"{LOGS % 'app'}?cursor={cursor}"), 422, "bad_cursor")
            assert problem["fields"][0]["field"] == "cursor"
            refused(daemon.ask("DELETE", f"{LOGS % 'app'}?cursor={cursor}"), 422, "bad_cursor")
            for form in ("sse", "ndjson"):
                refused(daemon.ask("GET", f"{LOGS % 'app'}?cursor={cursor}&format={form}"), 422, "bad_cursor")
        told(att(daemon, "runtime", "logs", "app", "--cursor", cursor), problem)
        for path in ("/projects", "/events", "/projects/app/events"):
            refused(daemon.ask("GET", f"{path}?cursor=!!"), 422, "bad_cursor")
        for path in (LOGS % "app", "/events/stream", "/projects/app/events/stream"):
            stream = daemon.ask("GET", f"{path}?format=sse", **{"Last-Event-ID": "zzz"})
            refused(stream, 422, "bad_cursor")


def test_cursor_of_another_project(daemon: RunningDaemon) -> None:
    theirs = daemon.ask("GET", LOGS % "other").json["newest_cursor"]
    code = "cursor_of_another_project"
    with nothing_changes(daemon):
        problem = refused(daemon.ask("GET", f"{LOGS % 'app'}?cursor={theirs}"), 422, code)
        told(att(daemon, "runtime", "logs", "app", "--cursor", theirs), problem)
        refused(daemon.ask("GET", f"{LOGS % 'app'}?format=sse&cursor={theirs}"), 422, code)
        refused(daemon.ask("GET", f"{LOGS % 'app'}?format=ndjson", **{"Last-Event-ID": theirs}), 422, code)
        refused(daemon.ask("DELETE", f"{LOGS % 'app'}?cursor={theirs}"), 422, code)


def test_limit_out_of_range(daemon: RunningDaemon) -> None:
    lists = {LOGS % "app": 10_000, "/projects": 1000, "/events": 1000, "/projects/app/events": 1000}
    with nothing_changes(daemon):
        for path, most in lists.items():
            assert daemon.ask("GET", f"{path}?limit={most}").status == 200
            for limit in (0, -1, most + 1, 10**30, "ten", "1.5", ""):
                problem = refused(daemon.ask("GET", f"{path}?limit={limit}"), 422, "invalid_request")
                assert [fault["field"] for fault in problem["fields"]] == ["limit"]
        problem = refused(daemon.ask("GET", f"{LOGS % 'app'}?limit=10001"), 422, "invalid_request")
        told(att(daemon, "runtime", "logs", "app", "--limit", "10001"), problem)


# -- requests that are not as they should be


def test_unknown_field(daemon: RunningDaemon) -> None:
    with nothing_changes(daemon):
        asked = daemon.ask("POST", "/projects", {"name": "new", "template": "echo", "colour": "red"})
        assert [f["field"] for f in refused(asked, 422, "invalid_request")["fields"]] == ["colour"]
        for method, path in (("GET", "/projects"), ("POST", START % "other"), ("DELETE", "/projects/other")):
            problem = refused(daemon.ask(method, f"{path}?colour=red"), 422, "invalid_request")
            assert [f["field"] for f in problem["fields"]] == ["colour"]
        said = att(daemon, "runtime", "start", "other", "--colour", "red")
        assert (said.code, said.out) == (2, "")
        assert "--colour" in said.err


def test_body_too_large(daemon: RunningDaemon) -> None:
    head = {"Authorization": f"Bearer {daemon.token}", "Content-Type": "application/json"}
    body = json.dumps({"name": "big", "clone_url": "https://example.org/" + "x" * 1100}).encode()
    with nothing_changes(daemon):
        problem = refused(raw(daemon, "POST", "/api/v1/projects", body, head), 413, "body_too_large")
        assert problem["limit"] == 1024
        claimed = head | {"Content-Length": str(10**12)}
        refused(raw(daemon, "POST", "/api/v1/projects", b"{", claimed), 413, "body_too_large")
        chunked = head | {"Transfer-Encoding": "chunked"}
        pieces = b"400\r\n" + b" " * 1024 + b"\r\n400\r\n" + b" " * 1024 + b"\r\n0\r\n\r\n"
        refused(raw(daemon, "POST", "/api/v1/projects", pieces, chunked), 413, "body_too_large")
        url = f"https://example.org/{'x' * 1100}"
        told(att(daemon, "project", "create", "big", "--clone-url", url), problem)


def test_wrong_token(daemon: RunningDaemon) -> None:
    with nothing_changes(daemon):
        for header in (
            "Bearer wrong",
            f"Basic {daemon.token}",
            "Bearer",
            daemon.token,
            "Bearer " + "x" * 5000,
        ):
            asked = raw(daemon, "GET", "/api/v1/projects", headers={"Authorization": header})
            problem = refused(asked, 401, "unauthorized")
            assert "bearer" in asked.headers["www-authenticate"].lower()
            assert daemon.token not in asked.text
        refused(raw(daemon, "POST", "/api/v1/projects/app/runtime/stop"), 401, "unauthorized")
        refused(raw(daemon, "GET", f"/api/v1/projects?token={daemon.token}"), 401, "unauthorized")
        problem = refused(
            daemon.ask("DELETE", "/projects/app", Authorization="Bearer wrong"), 401, "unauthorized"
        )
        told(att(daemon, "project", "delete", "app", "--yes", "--token", "wrong"), problem)


def test_foreign_host(daemon: RunningDaemon) -> None:
    head = {"Authorization": f"Bearer {daemon.token}"}
    with nothing_changes(daemon):
        for host in (
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ):
            asked = raw(daemon, "GET", "/api/v1/projects", headers=head | {"Host": host})
            problem = refused(asked, 421, "foreign_host")
            assert raw(daemon, "GET", "/", headers={"Host": host}).status == 421
        url = f"http://127.1:{daemon.port}"  # a name of this machine that is not the server's
        told(att(daemon, "project", "list", "--url", url, "--token", daemon.token), problem)


def test_foreign_origin(daemon: RunningDaemon) -> None:
    head = {"Authorization": f"Bearer {daemon.token}", "Content-Length": "0"}
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with nothing_changes(daemon):
        for origin in (
            "https://evil.example",
            "null",
            f"https://127.0.0.1:{daemon.port + 1}",
            "http://localhost",
        ):
            asked = raw(daemon, "POST", f"/api/v1{STOP % 'app'}", headers=head | {"Origin": origin})
            refused(asked, 403, "foreign_origin")
            assert "access-control-allow-origin" not in asked.headers
            socket_ = raw(
                daemon, "GET", "/api/v1/projects/app/ws", headers=head | upgrade | {"Origin": origin}
            )
            refused(socket_, 403, "foreign_origin")


def test_a_websocket_of_an_unknown_project_is_refused_before_the_upgrade(daemon: RunningDaemon) -> None:
    head = {
        "Authorization": f"Bearer {daemon.token}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    refused(raw(daemon, "GET", "/api/v1/projects/nobody/ws", headers=head), 404, "project_not_found")


# -- places


def test_a_project_path_outside_of_the_allowed_roots(daemon: RunningDaemon, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = daemon.home / "projects" / "link"
    link.symlink_to(outside)
    dotted = f"{daemon.home}/projects/../../{outside.name}"
    (daemon.home.parent / outside.name).mkdir()
    code = "path_outside_roots"
    with nothing_changes(daemon):
        for path in ("/etc", str(outside), str(link), dotted):
            asked = daemon.ask("POST", "/projects", {"name": "out", "path": path})
            problem = refused(asked, 403, code)
            assert problem["roots"] == [str((daemon.home / "projects").resolve())]
        refused(daemon.ask("POST", "/projects", {"name": "out", "clone_url": str(outside)}), 403, code)
        refused(daemon.ask("POST", "/projects", {"name": "out", "clone_url": f"file://{outside}"}), 403, code)
        refused(
            daemon.ask("POST", "/projects", {"name": "out", "path": str(daemon.home)}), 403, "path_forbidden"
        )
        refused(daemon.ask("POST", "/projects", {"name": "out", "path": "/"}), 403, "path_forbidden")
        told(att(daemon, "project", "create", "out", "--path", dotted), problem)
    assert list(outside.iterdir()) == []
    link.unlink()
