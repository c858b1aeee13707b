"""`att service`: what is typed, what is said, and how it ends."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.att.cli.conftest import Said
from tests.att.http.house import Served
from tests.att.service import fakes
from tests.support import free_port

Att = Callable[..., Said]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fakes.Program:
    """A user's systemd, and an interpreter that has ATT."""
    made = fakes.systemctl(tmp_path / "bin")
    (tmp_path / "booted").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr("att.cli.service.BOOTED", tmp_path / "booted")
    monkeypatch.setattr(sys, "executable", str(fakes.python(tmp_path)))
    return made


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    return tmp_path / ".config/systemd/user/att.service"


KIND = ("--kind", "systemd")


def listen(house: Served) -> tuple[str, str]:
    return ("--listen", house.url.removeprefix("http://"))


def test_install_says_what_it_wrote_and_what_to_type(
    att: Att, program: fakes.Program, unit: Path, house: Served
) -> None:
    done = att("service", "install", *KIND, *listen(house))
    assert done.code == 0
    assert f"wrote {unit}" in done.out
    assert f"It runs, at {house.url}" in done.out
    assert "journalctl --user -u att -f" in done.out
    assert "service.env" in done.out
    again = att("service", "install", *KIND, *listen(house))
    assert (again.code, f"unchanged {unit}" in again.out) == (0, True)


def test_status_tells_the_service_and_the_health_of_the_daemon(
    att: Att, program: fakes.Program, unit: Path, house: Served
) -> None:
    att("service", "install", *KIND, *listen(house))
    done = att("service", "status", *KIND)
    assert done.code == 0
    told = dict(line.split(":", 1) for line in done.out.splitlines())
    assert told["installed"].strip() == str(unit)
    assert told["enabled"].strip() == "yes"
    assert told["active"].strip() == "active, pid 4711, healthy: installed"
    assert told["health"].strip().startswith("ok, ATT ")
    found = json.loads(att("service", "status", *KIND, "--json").out)
    assert (found["installed"], found["pid"], found["health"]) == (True, 4711, "ok")
    assert found["home"] == str(house.settings.home)


def test_status_ends_with_1_when_it_does_not_run(att: Att, program: fakes.Program, house: Served) -> None:
    nothing = att("service", "status", *KIND)
    assert (nothing.code, "installed: no" in nothing.out) == (1, True)
    att("service", "install", *KIND, *listen(house))
    program.change(facts={"ActiveState": "failed", "MainPID": 0, "ExecMainStatus": 78, "NRestarts": 3})
    failed = att("service", "status", *KIND)
    assert failed.code == 1
    assert "failed" in failed.out
    assert "last exit code 78, not started again" in failed.out
    assert "started again 3 times" in failed.out


def test_a_change_while_it_runs_is_told_with_its_price(
    att: Att, program: fakes.Program, house: Served
) -> None:
    att("service", "install", *KIND, *listen(house))
    done = att("service", "install", *KIND, *listen(house), "--env", "A=b")
    assert done.code == 0
    assert "which restarts the app too: systemctl --user restart att.service" in done.out


def test_a_service_that_does_not_come_up_ends_with_1_and_names_the_log(
    att: Att, program: fakes.Program, house: Served
) -> None:
    program.change(started={"ActiveState": "failed", "MainPID": 0, "ExecMainStatus": 78})
    done = att("service", "install", *KIND, *listen(house))
    assert done.code == 1
    assert "It has not come up. What it said: journalctl --user -u att -f" in done.out


def test_a_dry_run_prints_and_changes_nothing(
    att: Att, program: fakes.Program, unit: Path, house: Served
) -> None:
    done = att("service", "install", *KIND, "--socket", "--dry-run")
    assert done.code == 0
    assert f"# ---- {unit}" in done.out
    assert "ListenStream=127.0.0.1:8484" in done.out
    assert not unit.exists()
    assert program.calls == []
    files = json.loads(att("service", "install", "--kind", "launchd", "--dry-run", "--json").out)
    assert [Path(name).name for name in files] == ["io.github.agent-toolkit-toolkit.plist"]


def test_files_alone_are_written_where_no_service_manager_runs(
    att: Att, program: fakes.Program, unit: Path, tmp_path: Path
) -> None:
    (tmp_path / "booted").rmdir()
    refused = att("service", "install", *KIND)
    assert (refused.code, unit.exists()) == (1, False)
    assert "--write-only" in refused.err
    nobody = ("--listen", f"127.0.0.1:{free_port()}")
    done = att("service", "install", *KIND, *nobody, "--write-only")
    assert (done.code, unit.exists()) == (0, True)
    assert "systemctl --user daemon-reload && systemctl --user enable --now att.service" in done.out
    status = att("service", "status", *KIND)
    assert (status.code, "systemd does not run here" in status.out) == (1, True)
    removed = att("service", "remove", *KIND, "--write-only")
    assert (removed.code, removed.out, unit.exists()) == (0, f"removed {unit}\n", False)


def test_remove_says_what_it_took_and_what_it_left(att: Att, program: fakes.Program, unit: Path) -> None:
    att("service", "install", *KIND)
    own = unit.with_name("att.service.d")
    own.mkdir()
    done = att("service", "remove", *KIND)
    assert done.code == 0
    assert f"removed {unit}" in done.out
    assert f"Your own settings were left: {own}" in done.out
    again = att("service", "remove", *KIND)
    assert (again.code, again.out) == (0, "There is nothing to remove.\n")
    assert json.loads(att("service", "remove", *KIND, "--json").out) == {"removed": []}


def test_a_foreign_file_is_a_problem_with_its_path(att: Att, program: fakes.Program, unit: Path) -> None:
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    done = att("--json", "service", "install", *KIND)
    assert done.code == 1
    told = json.loads(done.out)
    assert (told["code"], told["path"]) == ("foreign_service_file", str(unit))


def test_launchd_is_served_by_the_same_words(
    att: Att, program: fakes.Program, tmp_path: Path, house: Served
) -> None:
    fakes.launchctl(tmp_path / "bin")
    kind = ("--kind", "launchd")
    done = att("service", "install", *kind, *listen(house))
    assert (done.code, "It runs" in done.out) == (0, True)
    assert f"{house.settings.home}/service.log" in done.out
    assert att("service", "status", *kind).code == 0
    assert att("service", "remove", *kind).code == 0


def test_what_is_wrong_with_the_settings_ends_with_78(att: Att, program: fakes.Program) -> None:
    assert att("service", "install", *KIND, "--listen", "0.0.0.0:80").code == 78
    assert att("service", "install", *KIND, "--scope", "nobody").code == 2
