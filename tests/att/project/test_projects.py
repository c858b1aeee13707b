"""Making, registering, listing and deleting projects."""

# ruff: noqa: ASYNC240  (small files of the test's own)

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from att.problems import BadCursor, InvalidRequest, Problem, ProjectNotFound
from att.project import errors
from att.project.making import Maker
from att.project.models import CreateProject, ProjectStatus
from att.project.templates import FOLDER, Template, all_templates
from att.store.errors import DatabaseLocked, DiskFull
from tests.att.rooms import CALL, on_a_loop, rooms

ECHO = CreateProject(name="demo", template="echo")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


@on_a_loop
async def test_a_project_from_a_template_bears_its_own_names(tmp_path: Path) -> None:
    async with rooms(tmp_path, find_config=lambda folder: folder / "config.yml") as house:
        project = await house.projects.create(CreateProject(name="My Agent!", template="echo"), CALL)
        folder = Path(project.path)
        assert (project.id, project.name, project.status) == ("my-agent", "My-Agent", ProjectStatus.CREATED)
        assert project.nat_config_path == "config.yml"
        assert folder == tmp_path / "projects" / "my-agent"
        assert (folder / "src" / "my_agent" / "register.py").is_file()
        text = (folder / "pyproject.toml").read_text()
        assert 'name = "My-Agent"' in text
        assert "my_agent" in text
        everything = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
        assert "echo_app" not in everything
        assert "echo-app" not in everything
        assert not (folder / "template.toml").exists()
        assert await house.projects.get("my-agent") == project
        [event] = await house.told("project.*")
        assert (event.event_type, event.project_id, event.actor) == ("project.created", "my-agent", "tester")
        assert event.payload == {"name": "My-Agent", "template": "echo"}


def test_every_template_says_what_it_is() -> None:
    assert "echo" in all_templates()
    for template in all_templates().values():
        assert template.summary
        assert {kind for _, kind in template.stand_ins} == {"name", "package"}
    assert {path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0] not in "_."} == set(
        all_templates()
    )


@on_a_loop
async def test_an_unknown_template_names_those_there_are(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        for name in ("nothing", "../echo", "", "echo/"):
            with pytest.raises(errors.TemplateNotFound) as told:
                await house.projects.create(CreateProject(name="x", template=name), CALL)
            assert told.value.extra["templates"] == sorted(all_templates())
        assert files(tmp_path / "projects") == set()


@pytest.mark.parametrize(
    "wish",
    [
        CreateProject(name="x"),
        CreateProject(name="x", template="echo", path="/tmp"),
        CreateProject(name="x", template="echo", branch="main"),
    ],
)
@on_a_loop
async def test_exactly_one_source_is_needed(tmp_path: Path, wish: CreateProject) -> None:
    async with rooms(tmp_path) as house:
        with pytest.raises(InvalidRequest) as told:
            await house.projects.create(wish, CALL)
        assert told.value.extra["fields"]


@on_a_loop
async def test_of_two_who_want_one_name_one_gets_it(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        names = ("demo", "Demo", "demo", "DEMO")
        wishes = [house.projects.create(CreateProject(name=name, template="echo"), CALL) for name in names]
        answers = await asyncio.gather(*wishes, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Project"] + ["ProjectExists"] * 3
        with pytest.raises(errors.ProjectExists):
            await house.projects.create(ECHO, CALL)
        assert os.listdir(tmp_path / "projects") == ["demo"]
        assert len((await house.projects.page()).projects) == 1


@on_a_loop
async def test_many_projects_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        await asyncio.gather(
            *(house.projects.create(CreateProject(name=f"p{n}", template="echo"), CALL) for n in range(12))
        )
        assert set(os.listdir(tmp_path / "projects")) == {f"p{n}" for n in range(12)}


@on_a_loop
async def test_files_in_the_way_stay_untouched(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        (tmp_path / "projects" / "demo").mkdir(parents=True)
        (tmp_path / "projects" / "demo" / "mine").write_text("mine")
        (tmp_path / "projects" / "link").symlink_to(tmp_path)
        (tmp_path / "projects" / "file").write_text("mine")
        for name in ("demo", "link", "file"):
            with pytest.raises(errors.DirectoryNotEmpty):
                await house.projects.create(CreateProject(name=name, template="echo"), CALL)
        assert files(tmp_path / "projects") == {"demo", "demo/mine", "link", "file"}
        (tmp_path / "projects" / "empty").mkdir()  # one that is empty may be used
        await house.projects.create(CreateProject(name="empty", template="echo"), CALL)


class Overtaken(Template):
    """A template during whose copying somebody else puts a directory in the way."""

    def copy(self, to: Path, project_name: str) -> None:
        to.mkdir()
        (to / "ours").write_text("ours")
        (to.parent / project_name).mkdir()
        (to.parent / project_name / "theirs").write_text("theirs")


@on_a_loop
async def test_a_directory_that_appears_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("att.project.templates.find", lambda *_: Overtaken("x", "", tmp_path, ()))
    async with rooms(tmp_path) as house:
        with pytest.raises(errors.DirectoryNotEmpty):
            await house.projects.create(ECHO, CALL)
        assert files(tmp_path / "projects") == {"demo", "demo/theirs"}
        with pytest.raises(ProjectNotFound):
            await house.projects.get("demo")


class Failing(Template):
    def copy(self, to: Path, project_name: str) -> None:
        to.mkdir()
        (to / "half").write_text("half")
        raise OSError(int(self.name), os.strerror(int(self.name)), str(to / "half"))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EACCES, errors.FilesNotMade),
        (errno.EIO, errors.FilesNotMade),
    ],
)
@on_a_loop
async def test_files_that_cannot_be_made_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Problem]
) -> None:
    monkeypatch.setattr("att.project.templates.find", lambda *_: Failing(str(number), "", tmp_path, ()))
    async with rooms(tmp_path) as house:
        with pytest.raises(kind):
            await house.projects.create(ECHO, CALL)
        assert files(tmp_path / "projects") == set()
        [event] = await house.told("project.*")
        assert (event.event_type, event.outcome, event.payload["code"]) == (
            "project.create_failed",
            "failed",
            kind.code,
        )
        monkeypatch.undo()
        await house.projects.create(ECHO, CALL)  # the name is free again


@on_a_loop
async def test_a_directory_is_registered_without_being_touched(tmp_path: Path) -> None:
    home, mine = tmp_path / "home", tmp_path / "code" / "My App"
    home.mkdir()
    mine.mkdir(parents=True)
    (mine / "config.yml").write_text("workflow: {}")
    before = {path: path.stat() for path in (mine, mine / "config.yml")}
    async with rooms(home, roots=[tmp_path / "code"], find_config=lambda f: f / "config.yml") as house:
        project = await house.projects.create(CreateProject(path=str(mine)), CALL)
        assert (project.id, project.name, project.path) == ("my-app", "My-App", str(mine))
        assert project.nat_config_path == "config.yml"
        assert {path: path.stat() for path in before} == before
        assert await house.projects.path("my-app") == mine
        with pytest.raises(errors.DirectoryRegistered):
            await house.projects.create(CreateProject(name="other", path=str(mine)), CALL)
        (mine / "inner").mkdir()
        with pytest.raises(errors.DirectoryRegistered):  # neither inside nor around another project
            await house.projects.create(CreateProject(path=str(mine / "inner")), CALL)
        with pytest.raises(errors.DirectoryRegistered):
            await house.projects.create(CreateProject(path=str(tmp_path / "code")), CALL)
        gone = await house.projects.delete("my-app", CALL)
        assert gone.files_removed is False
        assert (mine / "config.yml").read_text() == "workflow: {}"


@on_a_loop
async def test_paths_that_may_not_be_projects_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, user, code = tmp_path / "user" / "att", tmp_path / "user", tmp_path / "user" / "code"
    for folder in (home / "projects" / ".making-x-1", home / "logs", code, tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
    (code / "link").symlink_to(tmp_path / "elsewhere")
    (code / "state").symlink_to(home / "logs")
    (code / "file").write_text("")
    monkeypatch.setenv("HOME", str(user))
    async with rooms(home, roots=[user, Path("/usr")]) as house:
        refused = {
            "/": errors.PathForbidden,
            str(user): errors.PathForbidden,
            "~": errors.PathForbidden,
            str(home): errors.PathForbidden,
            str(home / "logs"): errors.PathForbidden,
            str(home / "projects"): errors.PathForbidden,
            str(home / "projects" / ".making-x-1"): errors.PathForbidden,
            str(tmp_path): errors.PathForbidden,  # holds the home
            str(code / "state"): errors.PathForbidden,
            str(code / "link"): errors.PathOutsideRoots,
            str(code / ".." / ".." / "elsewhere"): errors.PathOutsideRoots,
            "/etc": errors.PathOutsideRoots,
            "/etc/nothing-here": errors.PathOutsideRoots,  # not told whether it exists
            str(code / "none"): errors.PathNotFound,
            str(code / "file"): errors.PathNotFound,
            "code": errors.PathNotFound,
            "": errors.PathNotFound,
            "/usr/\0": errors.PathNotFound,
        }
        for path, kind in refused.items():
            with pytest.raises(Problem) as told:
                await house.projects.create(CreateProject(name="x", path=path), CALL)
            assert type(told.value) is kind, path
        assert (await house.projects.page()).projects == []


@on_a_loop
async def test_the_list_is_paged_by_id(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    async with rooms(tmp_path / "home", roots=[tmp_path / "code"]) as house:
        for n in range(7):
            (tmp_path / "code" / f"p{n}").mkdir()
            await house.projects.create(CreateProject(path=str(tmp_path / "code" / f"p{n}")), CALL)
        seen: list[str] = []
        cursor = None
        sizes = []
        while True:
            page = await house.projects.page(cursor, 3)
            seen += [project.id for project in page.projects]
            sizes.append(len(page.projects))
            if (cursor := page.next_cursor) is None:
                break
        assert seen == [f"p{n}" for n in range(7)]
        assert sizes == [3, 3, 1]
        for bad in ("", "../x", "A"):
            with pytest.raises(BadCursor):
                await house.projects.page(bad)


@on_a_loop
async def test_an_unknown_project_is_not_found_anywhere(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        for ask in (
            house.projects.get("x"),
            house.projects.path("x"),
            house.projects.set_status("x", ProjectStatus.RUNNING),
            house.projects.set_nat_config("x", "c"),
            house.projects.delete("x", CALL),
        ):
            with pytest.raises(ProjectNotFound):
                await ask


@on_a_loop
async def test_status_and_config_are_kept(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        created = await house.projects.create(ECHO, CALL)
        running = await house.projects.set_status("demo", ProjectStatus.RUNNING)
        assert running.updated_at > created.updated_at
        assert await house.projects.set_status("demo", ProjectStatus.RUNNING) == running
        assert await house.projects.get("demo") == running
        with pytest.raises(errors.StatusNotAllowed):
            await house.projects.set_status("demo", ProjectStatus.CREATED)
        assert (await house.projects.set_nat_config("demo", "other.yml")).nat_config_path == "other.yml"
        assert (await house.projects.get("demo")).status is ProjectStatus.RUNNING
    async with rooms(tmp_path) as house:
        assert (await house.projects.get("demo")).nat_config_path == "other.yml"


@on_a_loop
async def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    async with rooms(tmp_path) as house:
        project = await house.projects.create(ECHO, CALL)
        Path(project.path).rename(tmp_path / "away")
        with pytest.raises(errors.DirectoryMissing):
            await house.projects.path("demo")
        gone = await house.projects.delete("demo", CALL)  # and deleting it is no error
        assert gone.files_removed is False
        assert (tmp_path / "away" / "config.yml").is_file()


@on_a_loop
async def test_a_locked_database_leaves_no_project_and_no_files(tmp_path: Path) -> None:
    import sqlite3

    async with rooms(tmp_path) as house:
        other = sqlite3.connect(tmp_path / "att.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseLocked):
            await house.projects.create(ECHO, CALL)
        assert files(tmp_path / "projects") == set()
        other.execute("ROLLBACK")
        other.close()
        await house.projects.create(ECHO, CALL)


@on_a_loop
async def test_a_cancelled_creation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = asyncio.Event()

    async def forever(self: Maker, _order: object, work: Path, _call: object) -> None:
        work.mkdir(parents=True)
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Maker, "_fill", forever)
    async with rooms(tmp_path) as house:
        making = asyncio.ensure_future(house.projects.create(ECHO, CALL))
        await began.wait()
        with pytest.raises(ProjectNotFound):  # not to be seen before it is whole
            await house.projects.get("demo")
        with pytest.raises(errors.ProjectExists):
            await house.projects.create(ECHO, CALL)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert files(tmp_path / "projects") == set()
        assert [e.payload["code"] for e in await house.told("project.*")] == ["cancelled"]

        began.clear()
        making = asyncio.ensure_future(house.projects.create(ECHO, CALL))
        await began.wait()
        gone = await house.projects.delete("demo", CALL)  # deleting what is being made cancels it
        assert gone.files_removed
        with pytest.raises(errors.CreationCancelled):
            await making
        assert files(tmp_path / "projects") == set()
        monkeypatch.undo()
        await house.projects.create(ECHO, CALL)
