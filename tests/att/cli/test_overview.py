"""`att status` and `att doctor`: one screen each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from att.catalogue import Effect, Room
from att.problems import ProjectNotFound
from att.project.models import ListProjects, Project, ProjectPage, ProjectStatus
from att.runtime.models import AskStatus, RuntimeStatus
from tests.att.cli.conftest import Att
from tests.att.http.house import TOKEN, Served, served
from tests.support import free_port

NAMES = ["calm", "broken", "gone", "busy"]
projects, runtime = Room("project"), Room("runtime")


@projects.operation("GET", "/projects", effect=Effect.READ, name="project.list")
async def list_projects(ask: ListProjects) -> ProjectPage:
    """Two on a page, so that there is more than one."""
    at = int(ask.cursor or 0)
    found = [
        Project(
            id=name,
            name=name,
            path=f"/x/{name}",
            git_remote=None,
            nat_config_path=None,
            status=ProjectStatus.CREATED,
            created_at="2026-11-21T00:00:00Z",
            updated_at="2026-11-21T00:00:00Z",
        )
        for name in NAMES[at : at + 2]
    ]
    return ProjectPage(projects=found, next_cursor=str(at + 2) if at + 2 < len(NAMES) else None)


@runtime.operation(
    "GET", "/projects/{project_id}/runtime/status", effect=Effect.READ, errors=(ProjectNotFound,)
)
async def status(ask: AskStatus) -> RuntimeStatus:
    """How each of them is."""
    if ask.project_id == "gone":
        raise ProjectNotFound("It went away meanwhile.")
    if ask.project_id == "busy":
        return RuntimeStatus(
            project_id="busy",
            state="running",
            pid=77,
            url="http://127.0.0.1:8000",
            healthy=True,
            cpu_percent=3.21,
            rss_bytes=300 << 20,
            restarts=2,
            started_at="2026-11-20T00:00:00Z",
        )
    if ask.project_id == "broken":
        return RuntimeStatus(project_id="broken", state="failed", reason="the port is taken")
    return RuntimeStatus(project_id=ask.project_id)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, rooms=(projects, runtime)) as house:
        house.vitals.add("disk", lambda: "only 1 MiB is free")
        yield house


@pytest.fixture
def att(capsys: pytest.CaptureFixture[str]) -> Att:
    return Att(capsys)


def test_status_shows_the_daemon_and_every_project(att: Att, full: Served) -> None:
    said = att("status", "--url", full.url, "--token", TOKEN)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].startswith(f"ATT 1.2.3, release r7 at {full.url}: degraded, up ")
    assert lines[1] == "  disk: only 1 MiB is free"
    rows = {line.split()[0]: line for line in lines[4:8]}
    assert list(rows) == NAMES
    assert rows["busy"].split()[1:5] == ["running", "healthy", "http://127.0.0.1:8000", "77"]
    assert "3.2 %" in rows["busy"]
    assert "300.0 MiB" in rows["busy"]
    assert rows["calm"].split()[1] == "stopped"
    assert rows["gone"].split()[1] == "created"
    assert lines[-1] == "broken: the port is taken"


def test_status_for_programs(att: Att, full: Served) -> None:
    told = json.loads(att("status", "--json", "--url", full.url, "--token", TOKEN).out)
    assert told["health"]["status"] == "degraded"
    assert [project["id"] for project in told["projects"]] == NAMES
    assert told["runtimes"]["busy"]["pid"] == 77
    assert told["runtimes"]["gone"] is None


def test_status_without_a_daemon_ends_with_4(att: Att, tmp_path: Path) -> None:
    said = att("--home", str(tmp_path), "status", "--url", f"http://127.0.0.1:{free_port()}")
    assert said.code == 4


def test_the_doctor_shows_each_finding_with_its_remedy(att: Att, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    (tmp_path / "token").chmod(0o644)
    said = att("doctor", "--home", str(tmp_path))
    assert said.code == 1
    assert "✓ python: " in said.out
    assert "✗ token: " in said.out
    assert "    → " in said.out
    told = {
        finding["name"]: finding
        for finding in json.loads(att("--home", str(tmp_path), "doctor", "--json").out)
    }
    assert told["token"]["standing"] == "fail"
    assert told["token"]["remedy"]
