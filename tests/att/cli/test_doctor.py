"""`att doctor` names what is wrong, in the home, on the machine and in a project, and says what to do."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from att import config
from att.access import read_or_make_token
from att.cli import doctor
from att.cli import doctor_daemon as daemon
from att.cli.finding import Finding, Standing, failed
from att.config import Settings
from tests.support import free_port


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    return place


def settings_for(home: Path, port: int = 0) -> Settings:
    return config.load({"home": home, "listen": f"127.0.0.1:{port or free_port()}"}, {})


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def environ() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def test_a_new_home_is_well_but_for_the_daemon_that_does_not_run(home: Path) -> None:
    found = by_name(doctor.diagnose({"home": home, "listen": f"127.0.0.1:{free_port()}"}, environ()))
    assert found.pop("daemon").standing is Standing.WARN
    assert found.pop("disk").standing is not Standing.FAIL
    assert {finding.standing for finding in found.values()} == {Standing.OK}
    assert set(found) >= {"python", "uv", "git", "clock", "home", "settings", "token", "port"}


def test_looking_changes_nothing(home: Path) -> None:
    doctor.diagnose({"home": home / "not-there", "listen": f"127.0.0.1:{free_port()}"}, environ())
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0), (2, 7, 18)])
def test_a_python_that_att_does_not_run_on_fails(version: tuple[int, int, int]) -> None:
    found = doctor.check_python(version)
    assert found.standing is Standing.FAIL
    assert ".".join(map(str, version)) in found.what
    assert "3.11 to 3.13" in found.remedy


def test_a_missing_git_only_warns() -> None:
    assert doctor.check_git(None).standing is Standing.WARN


def test_a_program_that_does_not_run_fails(tmp_path: Path) -> None:
    broken = tmp_path / "git"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert doctor.check_git(str(broken)).standing is Standing.FAIL


def test_an_old_git_warns_with_its_version(tmp_path: Path) -> None:
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.11.0\n")
    old.chmod(0o755)
    found = doctor.check_git(str(old))
    assert found.standing is Standing.WARN
    assert "2.11.0" in found.what


def test_a_clock_that_was_never_set_fails() -> None:
    assert doctor.check_clock(0.0).standing is Standing.FAIL


def test_a_home_that_others_can_look_into_warns_with_the_command_that_mends_it(home: Path) -> None:
    home.chmod(0o755)
    found = doctor.check_home(home)
    assert (found.standing, found.remedy) == (Standing.WARN, f"chmod 700 {home}")


def test_a_home_that_is_a_file_fails(tmp_path: Path) -> None:
    file = tmp_path / "home"
    file.write_text("")
    assert doctor.check_home(file).standing is Standing.FAIL


def test_a_home_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert doctor.check_home(tmp_path / "file" / "home").standing is Standing.FAIL


@pytest.mark.parametrize(
    ("free", "standing"),
    [(1 << 20, Standing.FAIL), (1 << 30, Standing.WARN), (1 << 40, Standing.OK)],
)
def test_a_disk_is_judged_by_what_is_free(home: Path, free: int, standing: Standing) -> None:
    assert doctor.check_disk(home, free).standing is standing


def test_a_wrong_setting_is_told_with_file_and_key_and_ends_the_round(home: Path) -> None:
    (home / "att.toml").write_text("listen = 5\n")
    found = doctor.diagnose({"home": home}, environ())
    assert found[-1].name == "settings"
    assert found[-1].standing is Standing.FAIL
    assert "listen" in found[-1].what
    assert str(home / "att.toml") in found[-1].what


def test_a_mistyped_variable_warns(home: Path) -> None:
    found = list(doctor.check_settings(settings_for(home), {"ATT_LISTN": "127.0.0.1:1"}))
    assert [finding.standing for finding in found] == [Standing.WARN]
    assert "ATT_LISTEN" in found[0].what


def test_a_token_that_others_can_read_fails(home: Path) -> None:
    read_or_make_token(home / "token")
    assert doctor.check_token(home / "token").standing is Standing.OK
    (home / "token").chmod(0o644)
    found = doctor.check_token(home / "token")
    assert found.standing is Standing.FAIL
    assert "chmod 600" in found.remedy


# ---- the daemon's address


@contextmanager
def serving(health: bytes, accepts: str = "") -> Iterator[int]:
    """A server that answers the health question with `health` and lets in the token `accepts`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("Authorization") == f"Bearer {accepts}"
            status = 200 if self.path.endswith("/health") or known else 401
            self.send_response(status)
            self.send_header("Content-Length", str(len(health)))
            self.end_headers()
            self.wfile.write(health)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


HEALTHY = json.dumps({"status": "ok", "version": "1.2.3", "release": "r1"}).encode()


def test_a_daemon_at_the_address_that_it_told_its_home_is_found_and_looked_for_no_longer_when_it_is_gone(
    home: Path,
) -> None:
    with serving(HEALTHY, read_or_make_token(home / "token")) as port:
        (home / "address").write_text(f"127.0.0.1:{port}\n")
        found = by_name(doctor.diagnose({"home": home}, environ()))
        assert found["daemon"].standing is Standing.OK
        assert str(port) in found["port"].what
    assert str(port) not in by_name(doctor.diagnose({"home": home}, environ()))["port"].what


def test_the_daemon_of_this_home_is_recognised(home: Path) -> None:
    with serving(HEALTHY, read_or_make_token(home / "token")) as port:
        settings = settings_for(home, port)
        answer = daemon.ask(settings)
    assert answer.accepts_token
    assert daemon.check_daemon(settings, answer).standing is Standing.OK
    assert "1.2.3" in daemon.check_daemon(settings, answer).what
    assert daemon.check_port(settings, answer).standing is Standing.OK


def test_the_daemon_of_another_home_is_told_from_ours(home: Path) -> None:
    read_or_make_token(home / "token")
    with serving(HEALTHY, "another") as port:
        settings = settings_for(home, port)
        found = daemon.check_daemon(settings, daemon.ask(settings))
    assert found.standing is Standing.FAIL
    assert "another home" in found.what


def test_a_daemon_that_is_not_well_warns(home: Path) -> None:
    with serving(json.dumps({"status": "degraded", "version": "1", "release": ""}).encode()) as port:
        settings = settings_for(home, port)
        assert daemon.check_daemon(settings, daemon.ask(settings)).standing is Standing.WARN


@pytest.mark.parametrize("said", [b"hello", b"[]", b"{}"])
def test_another_program_at_the_address_is_no_daemon(home: Path, said: bytes) -> None:
    with serving(said) as port:
        settings = settings_for(home, port)
        answer = daemon.ask(settings)
        assert daemon.check_daemon(settings, answer).standing is Standing.WARN
        found = daemon.check_port(settings, answer)
    assert found.standing is Standing.FAIL
    assert str(os.getpid()) in found.what, "the process that holds the port is named"


def test_a_port_that_nobody_holds_is_free(home: Path) -> None:
    settings = settings_for(home)
    answer = daemon.ask(settings)
    assert not answer.reached
    assert daemon.check_port(settings, answer).standing is Standing.OK


def test_a_silent_program_at_the_address_does_not_hold_the_doctor_up(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = settings_for(home, silent.getsockname()[1])
        answer = daemon.ask(settings)
        assert answer == daemon.Answer(reached=True)
        assert daemon.check_port(settings, answer).standing is Standing.FAIL


# ---- the store and the projects


def keep_projects(home: Path, *projects: tuple[str, Path]) -> None:
    with closing(sqlite3.connect(home / "att.db")) as store, store:
        store.execute("CREATE TABLE projects (id TEXT, path TEXT)")
        store.executemany("INSERT INTO projects VALUES (?, ?)", [(id_, str(path)) for id_, path in projects])


def test_a_store_that_is_no_database_fails(home: Path) -> None:
    (home / "att.db").write_bytes(b"not a database, but long enough to look at" * 30)
    found = list(daemon.check_store(settings_for(home)))
    assert [finding.standing for finding in found] == [Standing.FAIL]
    assert daemon.known_projects(settings_for(home)) == []


def test_a_project_is_found_in_the_store_and_looked_at(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "demo"
    project.mkdir()
    (project / "config.yml").write_text("workflow:\n  _type: echo\n  key: ${NOT_SET_ANYWHERE}\n")
    keep_projects(home, ("demo", project))
    found = doctor.diagnose({"home": home, "listen": f"127.0.0.1:{free_port()}"}, environ())
    about = [finding for finding in found if finding.name == "project demo"]
    assert any("NOT_SET_ANYWHERE" in finding.what for finding in about)
    assert any("missing" in finding.what and "environment-build demo" in finding.remedy for finding in about)
    assert not failed(about)


def test_a_project_whose_folder_is_gone_fails(home: Path, tmp_path: Path) -> None:
    keep_projects(home, ("demo", tmp_path / "gone"))
    found = by_name(doctor.diagnose({"home": home, "listen": f"127.0.0.1:{free_port()}"}, environ()))
    assert found["project demo"].standing is Standing.FAIL


@pytest.mark.parametrize(
    ("file", "text"),
    [("config.yml", "workflow: [unclosed\n"), ("att.toml", "[runtime]\nprot = 1\n"), ("README", "no config")],
)
def test_what_would_refuse_the_start_is_told_before(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    found = list(daemon.check_project("demo", tmp_path, environ()))
    assert failed(found)
    assert all(finding.remedy for finding in found if finding.standing is Standing.FAIL)


def test_an_environment_with_an_untried_nat_warns(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("workflow:\n  _type: echo\n")
    site = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages"
    (site / "nvidia_nat-1.7.0.dist-info").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("version = 3.11.2\n")
    found = list(daemon.check_project("demo", tmp_path, environ()))
    assert any("1.7.0" in finding.what and finding.standing is Standing.WARN for finding in found)
