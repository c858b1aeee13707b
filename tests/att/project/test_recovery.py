"""A daemon that is killed while it makes or deletes a project, and the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from att.project.models import CreateProject
from tests.att.rooms import CALL, on_a_loop, rooms


def killed_at(home: Path, point: str) -> None:
    life = subprocess.Popen(
        [sys.executable, "-m", "tests.att.project.life", str(home), point], stdout=subprocess.PIPE, text=True
    )
    assert life.stdout is not None
    assert life.stdout.readline() == "here\n"
    life.kill()
    life.wait()
    life.stdout.close()


@pytest.mark.parametrize("point", ["making", "placed"])
def test_a_half_made_project_is_gone_after_the_next_start(tmp_path: Path, point: str) -> None:
    killed_at(tmp_path, point)
    assert len(os.listdir(tmp_path / "projects")) == 1  # it was really there

    @on_a_loop
    async def next_life() -> None:
        async with rooms(tmp_path) as house:
            assert (await house.projects.page()).projects == []
            assert await house.projects.recover() == ["demo"]
            assert os.listdir(tmp_path / "projects") == []
            [event] = await house.told("project.*")
            assert (event.event_type, event.payload["code"]) == ("project.create_failed", "interrupted")
            assert await house.projects.recover() == []
            await house.projects.create(CreateProject(name="demo", template="echo"), CALL)

    next_life()


@pytest.mark.parametrize("point", ["deleting", "moved"])
def test_a_deletion_that_had_begun_is_finished_at_the_next_start(tmp_path: Path, point: str) -> None:
    killed_at(tmp_path, point)
    assert len(os.listdir(tmp_path / "projects")) == 1

    @on_a_loop
    async def next_life() -> None:
        async with rooms(tmp_path) as house:
            assert await house.projects.recover() == ["demo"]
            assert os.listdir(tmp_path / "projects") == []
            assert [event.event_type for event in await house.told("*")] == [
                "project.created",
                "project.deleted",
            ]

    next_life()


@pytest.mark.parametrize("point", ["making", "placed"])
def test_what_somebody_else_put_in_its_place_is_left_alone(tmp_path: Path, point: str) -> None:
    killed_at(tmp_path, point)
    demo = tmp_path / "projects" / "demo"
    if demo.exists():
        demo.rename(tmp_path / "away")
    demo.mkdir()
    (demo / "theirs").write_text("theirs")

    @on_a_loop
    async def next_life() -> None:
        async with rooms(tmp_path) as house:
            assert await house.projects.recover() == ["demo"]
            assert os.listdir(tmp_path / "projects") == ["demo"]
            assert (demo / "theirs").read_text() == "theirs"

    next_life()


@on_a_loop
async def test_a_whole_project_is_not_touched_by_a_start(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        project = await house.projects.create(CreateProject(name="demo", template="echo"), CALL)
        (tmp_path / "projects" / ".deleting-old-1").mkdir()
        assert await house.projects.recover() == []
        assert await house.projects.get("demo") == project
        assert os.listdir(tmp_path / "projects") == ["demo"]
        assert (Path(project.path) / "config.yml").is_file()
