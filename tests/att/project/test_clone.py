"""Cloning with the real git."""

# ruff: noqa: ASYNC240  (small files of the test's own)

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import psutil
import pytest

from att.project import errors
from att.project.models import CreateProject, ProjectStatus
from tests.att.project.repositories import git, repository, served
from tests.att.rooms import CALL, Rooms, on_a_loop, rooms
from tests.support import eventually


def wish(url: str, **more: str) -> CreateProject:
    return CreateProject.model_validate({"clone_url": url, **more})


def gits() -> list[str]:
    """The gits that run below this process."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            found.append(" ".join(child.cmdline()) + " ".join(child.environ()))
        except psutil.Error:
            continue
    return [line for line in found if "git" in line.split(" ")[0]]


async def nothing_is_left(house: Rooms) -> None:
    assert not (house.home / "projects").exists() or os.listdir(house.home / "projects") == []
    assert (await house.projects.page()).projects == []


@on_a_loop
async def test_a_repository_becomes_a_project(tmp_path: Path) -> None:
    bare = repository(tmp_path / "srv" / "Demo.git", {"config.yml": "workflow: {}\n"})
    async with rooms(
        tmp_path / "home", roots=[tmp_path / "srv"], find_config=lambda f: f / "config.yml"
    ) as house:
        project = await house.projects.create(wish(f"file://{bare}"), CALL)
        assert (project.id, project.name, project.status) == ("demo", "Demo", ProjectStatus.CLONED)
        assert (project.git_remote, project.nat_config_path) == (str(bare), "config.yml")
        assert git(Path(project.path), "branch", "--show-current").strip() == "main"
        assert git(Path(project.path), "status", "--porcelain") == ""
        [cloned] = await house.told("project.cloned")
        assert cloned.payload["git_remote"] == str(bare)
        side = await house.projects.create(wish(str(bare), name="side", branch="side"), CALL)
        assert git(Path(side.path), "branch", "--show-current").strip() == "side"
        assert (await house.projects.delete("demo", CALL)).files_removed


@on_a_loop
async def test_credentials_of_a_url_are_used_and_never_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path / "srv" / "demo.git")
    monkeypatch.setenv("HOME", str(tmp_path))
    with served(tmp_path / "srv", user="ada", password="s3cr3t/pass") as host:
        async with rooms(tmp_path / "home") as house:
            project = await house.projects.create(wish(f"http://ada:s3cr3t%2Fpass@{host}/demo.git"), CALL)
            assert project.git_remote == f"http://{host}/demo.git"
            for file in Path(project.path).rglob("*"):
                assert not file.is_file() or b"s3cr3t" not in file.read_bytes()
            with pytest.raises(errors.CloneUnauthorized) as told:
                await house.projects.create(wish(f"http://ada:wr0ngpass@{host}/demo.git", name="two"), CALL)
            assert "wr0ngpass" not in str(told.value.document())
            with pytest.raises(errors.CloneUnauthorized):  # and nobody is asked at a terminal
                await house.projects.create(wish(f"http://{host}/demo.git", name="three"), CALL)
            said = "".join(event.model_dump_json() for event in await house.told("*"))
            assert "s3cr3t" not in said
            assert "wr0ng" not in said
        assert b"s3cr3t" not in (tmp_path / "home" / "att.db").read_bytes()


@on_a_loop
async def test_progress_is_told_as_events(tmp_path: Path) -> None:
    bare = repository(tmp_path / "srv" / "demo.git", {f"f{n}": f"{n}\n" * 50 for n in range(300)})
    async with rooms(tmp_path / "home", roots=[tmp_path / "srv"]) as house:
        await house.projects.create(wish(str(bare)), CALL)
        told = [event.payload for event in await house.told("project.clone_progress")]
        assert "Receiving objects" in {payload["stage"] for payload in told}
        assert len(told) < 80
        percents = [payload["percent"] for payload in told if payload["stage"] == "Receiving objects"]
        assert percents == sorted(set(percents))
        assert percents[-1] == 100


@on_a_loop
async def test_failures_are_told_apart_and_leave_nothing(tmp_path: Path) -> None:
    bare = repository(tmp_path / "srv" / "demo.git")
    (tmp_path / "srv" / "nogit").mkdir()
    with served(tmp_path / "srv") as host:
        async with rooms(tmp_path / "home", roots=[tmp_path / "srv"]) as house:
            refused = [
                (wish(str(bare), branch="nothing"), errors.BranchNotFound),
                (wish(str(bare), branch="-x"), errors.CloneUrlRefused),
                (wish(str(tmp_path / "srv" / "nogit")), errors.RepositoryNotFound),
                (wish(str(tmp_path / "srv" / "none")), errors.RepositoryNotFound),
                (wish(f"http://{host}/nothing.git"), errors.RepositoryNotFound),
                (wish("http://127.0.0.1:1/x.git"), errors.CloneFailed),
                (wish("ext::sh -c touch% pwned", name="x"), errors.CloneUrlRefused),
                (wish("--upload-pack=touch pwned", name="x"), errors.CloneUrlRefused),
            ]
            for ask, kind in refused:
                with pytest.raises(errors.InvalidRequest if kind is None else Exception) as told:
                    await house.projects.create(ask, CALL)
                assert type(told.value) is kind, (ask, told.value)
                await nothing_is_left(house)


@on_a_loop
async def test_a_local_repository_must_lie_within_the_roots(tmp_path: Path) -> None:
    bare = repository(tmp_path / "outside" / "demo.git")
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "link.git").symlink_to(bare)
    async with rooms(tmp_path / "home", roots=[tmp_path / "srv"]) as house:
        for url in (
            str(bare),
            f"file://{bare}",
            str(tmp_path / "srv" / "link.git"),
            f"{tmp_path}/srv/../outside/demo.git",
        ):
            with pytest.raises(errors.PathOutsideRoots):
                await house.projects.create(wish(url, name="x"), CALL)
        await nothing_is_left(house)


@on_a_loop
async def test_nothing_of_the_repository_or_of_a_template_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = repository(tmp_path / "srv" / "demo.git")
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    for folder in (hooks, bare / "hooks"):
        hook = folder / "post-checkout"
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
        hook.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    (tmp_path / ".gitconfig").write_text(
        f'[init]\n templateDir = {tmp_path}/template\n[core]\n hooksPath = {hooks}\n[protocol "ext"]\n allow = always\n'
    )
    async with rooms(tmp_path / "home", roots=[tmp_path / "srv"]) as house:
        project = await house.projects.create(wish(str(bare)), CALL)
        assert not (tmp_path / "pwned").exists()
        assert not (Path(project.path) / ".git" / "hooks").exists()


@on_a_loop
async def test_submodules_are_not_fetched(tmp_path: Path) -> None:
    inner = repository(tmp_path / "srv" / "inner.git")
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init")
    git(work, "-c", "protocol.file.allow=always", "submodule", "add", str(inner), "inner")
    git(work, "commit", "-m", "with a submodule")
    git(tmp_path, "clone", "--bare", str(work), str(tmp_path / "srv" / "outer.git"))
    async with rooms(tmp_path / "home", roots=[tmp_path / "srv"]) as house:
        project = await house.projects.create(wish(str(tmp_path / "srv" / "outer.git")), CALL)
        assert os.listdir(Path(project.path) / "inner") == []


@on_a_loop
async def test_a_clone_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with served(tmp_path, hang=threading.Event()) as host:
        async with rooms(tmp_path / "home", clone_timeout=0.3) as house:
            with pytest.raises(errors.CloneTimedOut):
                await house.projects.create(wish(f"http://{host}/demo.git"), CALL)
            assert gits() == []
            await nothing_is_left(house)


@on_a_loop
async def test_a_cancelled_clone_leaves_no_git_and_no_file(tmp_path: Path) -> None:
    with served(tmp_path, hang=threading.Event()) as host:
        async with rooms(tmp_path / "home") as house:
            for cancel in ("task", "delete"):
                cloning = asyncio.ensure_future(
                    house.projects.create(wish(f"http://ada:s3cr3t@{host}/demo.git"), CALL)
                )
                await eventually(gits)
                assert not any("s3cr3t" in line for line in gits())  # of arguments and names of variables
                if cancel == "task":
                    cloning.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await cloning
                else:
                    await house.projects.delete("demo", CALL)
                    with pytest.raises(errors.CreationCancelled):
                        await cloning
                assert gits() == []
                await nothing_is_left(house)


@on_a_loop
async def test_without_git_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with rooms(tmp_path / "home") as house:
        with pytest.raises(errors.GitMissing):
            await house.projects.create(wish("https://127.0.0.1:1/x"), CALL)
        await nothing_is_left(house)
