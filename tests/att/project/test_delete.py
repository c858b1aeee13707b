"""Deleting projects: what is asked first, what is removed, and what never is."""

# ruff: noqa: ASYNC240  (small files of the test's own)

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from att.problems import ProjectNotFound
from att.project import errors
from att.project.models import CreateProject, Project
from tests.att.rooms import CALL, on_a_loop, rooms

ECHO = CreateProject(name="demo", template="echo")


@on_a_loop
async def test_deleting_asks_the_hooks_first_and_removes_what_att_made(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        await house.projects.create(ECHO, CALL)
        asked: list[tuple[str, bool]] = []

        async def hook(project: Project) -> None:
            asked.append((project.id, Path(project.path).is_dir()))

        house.projects.before_delete.append(hook)
        gone = await house.projects.delete("demo", replace(CALL, actor="ada"))
        assert asked == [("demo", True)]
        assert gone.files_removed
        assert os.listdir(tmp_path / "projects") == []
        with pytest.raises(ProjectNotFound):
            await house.projects.get("demo")
        event = (await house.told("project.deleted"))[0]
        assert (event.project_id, event.actor, event.payload["files_removed"]) == ("demo", "ada", True)
        await house.projects.create(ECHO, CALL)


@on_a_loop
async def test_a_hook_that_refuses_leaves_all_as_it_was(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        project = await house.projects.create(ECHO, CALL)

        async def hook(_: Project) -> None:
            raise errors.FilesNotRemoved("not now")

        house.projects.before_delete.append(hook)
        with pytest.raises(errors.FilesNotRemoved):
            await house.projects.delete("demo", CALL)
        assert await house.projects.get("demo") == project
        assert (Path(project.path) / "config.yml").is_file()


@on_a_loop
async def test_files_are_kept_when_that_is_asked_for(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        project = await house.projects.create(ECHO, CALL)
        assert (await house.projects.delete("demo", CALL, keep_files=True)).files_removed is False
        assert (Path(project.path) / "config.yml").is_file()
        again = await house.projects.create(CreateProject(path=project.path), CALL)  # and can be registered
        assert again.id == "demo"
        assert (await house.projects.delete("demo", CALL)).files_removed is False
        assert (Path(project.path) / "config.yml").is_file()


@on_a_loop
async def test_deleting_follows_no_link_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("!")
    async with rooms(tmp_path / "home") as house:
        project = await house.projects.create(ECHO, CALL)
        (Path(project.path) / "link").symlink_to(outside)
        locked = Path(project.path) / "locked"
        (locked / "deep").mkdir(parents=True)
        (locked / "deep" / "file").write_text("x")
        locked.chmod(0o500)
        assert (await house.projects.delete("demo", CALL)).files_removed
        assert (outside / "precious").read_text() == "!"

        project = await house.projects.create(ECHO, CALL)
        Path(project.path).rename(tmp_path / "moved")
        Path(project.path).symlink_to(outside)  # the directory itself was replaced by a link
        assert (await house.projects.delete("demo", CALL)).files_removed is False
        assert (outside / "precious").read_text() == "!"


@on_a_loop
async def test_files_that_cannot_be_moved_leave_the_project_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rooms(tmp_path) as house:
        project = await house.projects.create(ECHO, CALL)

        def refuse(*_: object) -> bool:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(house.projects, "_take_away", refuse)
        with pytest.raises(errors.FilesNotRemoved):
            await house.projects.delete("demo", CALL)
        assert await house.projects.get("demo") == project


@on_a_loop
async def test_runs_go_with_their_project_and_its_events_stay(tmp_path: Path) -> None:
    from sqlalchemy import func, insert, select

    from att.store.tables import runs

    async with rooms(tmp_path) as house:
        await house.projects.create(ECHO, CALL)
        row = {"run_id": "r1", "project_id": "demo", "state": "stopped", "started_at": "2026"}
        await house.store.write(lambda c: c.execute(insert(runs).values(row)).rowcount)
        await house.projects.delete("demo", CALL)
        assert (
            await house.store.read(lambda c: c.execute(select(func.count()).select_from(runs)).scalar()) == 0
        )
        assert [e.event_type for e in await house.told("*")] == ["project.created", "project.deleted"]
