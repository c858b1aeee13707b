"""A project with a real repository, and the git room over it; beside it a bare remote and somebody else's clone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from att.git import models
from att.git.operations import room
from att.git.remote import Patience
from att.git.service import Git
from att.problems import InvalidRequest, Problem
from att.project.models import CreateProject
from tests.att.project.repositories import git
from tests.att.rooms import CALL, Rooms, rooms

HURRIED = Patience(attempts=3, first=0.0, longest=0.0)


@dataclass
class House:
    """`folder` is the project's; `root` holds what lies within the allowed roots."""

    rooms: Rooms
    git: Git
    root: Path
    folder: Path
    project_id: str = "app"

    def write(self, name: str, text: str | bytes = "one\n") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def by_hand(self, *words: str) -> str:
        return git(self.folder, *words)

    async def _ask(self, name: str, ask: BaseModel) -> Any:
        """As a door asks; what comes must be what the operation declares."""
        operation = next(o for o in room.operations if o.name == name)
        given = {"git": self.git, "call": CALL}
        try:
            answer = await operation.function(ask, **{key: given[key] for key in operation.collaborators})
        except Problem as problem:
            assert type(problem) in (*operation.errors, InvalidRequest), (
                f"{name} does not declare {problem!r}"
            )
            raise
        assert type(answer) is operation.output
        return answer

    async def init(self, branch: str = "main") -> models.GitStatus:
        return await self._ask("git.init", models.InitRepository(project_id=self.project_id, branch=branch))

    async def commit(self, message: str = "change", **named: Any) -> models.Commit:
        """Everything that changed, committed by the room."""
        await self.add(all=True)
        return (await self.make_commit(message, **named)).commit

    async def add(self, *path: str, **named: Any) -> models.GitStatus:
        return await self._ask(
            "git.add", models.AddFiles(project_id=self.project_id, path=list(path), **named)
        )

    async def make_commit(self, message: str | None, **named: Any) -> models.CommitMade:
        return await self._ask(
            "git.commit", models.MakeCommit(project_id=self.project_id, message=message, **named)
        )

    async def status(self, **named: Any) -> models.GitStatus:
        return await self._ask("git.status", models.AskGitStatus(project_id=self.project_id, **named))

    async def log(self, **named: Any) -> models.CommitPage:
        return await self._ask("git.log", models.ReadLog(project_id=self.project_id, **named))

    async def diff(self, **named: Any) -> models.GitDiff:
        return await self._ask("git.diff", models.ReadDiff(project_id=self.project_id, **named))

    async def branches(self, **named: Any) -> models.BranchPage:
        return await self._ask("git.branches", models.ListBranches(project_id=self.project_id, **named))

    async def branch(self, name: str, action: str = "create", **named: Any) -> models.BranchChanged:
        ask = models.ChangeBranch.model_validate(
            {"project_id": self.project_id, "name": name, "action": action, **named}
        )
        return await self._ask("git.branch", ask)

    async def fetch(self, **named: Any) -> models.Fetched:
        return await self._ask("git.fetch", models.FetchRemote(project_id=self.project_id, **named))

    async def pull(self, **named: Any) -> models.Pulled:
        return await self._ask("git.pull", models.PullBranch(project_id=self.project_id, **named))

    async def push(self, **named: Any) -> models.Pushed:
        return await self._ask("git.push", models.PushBranch(project_id=self.project_id, **named))

    async def remotes(self) -> list[models.Remote]:
        return (await self._ask("git.remote.list", models.ListRemotes(project_id=self.project_id))).remotes

    async def add_remote(self, url: str | Path, name: str = "origin") -> models.Remote:
        ask = models.AddRemote(project_id=self.project_id, name=name, remote_url=str(url))
        return await self._ask("git.remote.add", ask)

    async def remove_remote(self, name: str = "origin") -> models.RemoteRemoved:
        return await self._ask(
            "git.remote.remove", models.RemoveRemote(project_id=self.project_id, name=name)
        )

    def remote(self) -> tuple[Path, Path]:
        """A bare remote `origin`, and a clone of it that is somebody else's."""
        bare, other = self.root / "bare.git", self.root / "other"
        git(self.root, "clone", "--bare", str(self.folder), str(bare))
        git(self.root, "clone", str(bare), str(other))
        self.by_hand("remote", "add", "origin", str(bare))
        self.by_hand("fetch", "-q", "origin")
        branch = self.by_hand("branch", "--show-current").strip()
        self.by_hand("branch", "--set-upstream-to", f"origin/{branch}")
        return bare, other


def elsewhere(other: Path, name: str, text: str, message: str = "theirs") -> str:
    """A commit in somebody else's clone, pushed; its id."""
    (other / name).write_text(text)
    git(other, "add", ".")
    git(other, "commit", "-m", message)
    git(other, "push", "-q", "origin", "HEAD")
    return git(other, "rev-parse", "HEAD").strip()


@asynccontextmanager
async def house(tmp_path: Path, *, init: bool = True, commit: bool = True) -> AsyncIterator[House]:
    """With a repository that has one commit of README.md on main, unless told otherwise."""
    root = tmp_path / "srv"
    folder = root / "app"
    folder.mkdir(parents=True)
    async with rooms(tmp_path / "home", roots=[root]) as found:
        await found.projects.create(CreateProject(name="app", path=str(folder)), CALL)
        made = House(found, Git(found.projects, found.events, patience=HURRIED), root, folder)
        if init:
            git(folder, "init", "-q")
        if init and commit:
            made.write("README.md", "hello\n")
            git(folder, "add", ".")
            git(folder, "commit", "-q", "-m", "first")
        yield made


@asynccontextmanager
async def refused(kind: type[Problem]) -> AsyncIterator[pytest.ExceptionInfo[Problem]]:
    """Exactly this problem comes."""
    with pytest.raises(Problem) as told:
        yield told
    assert type(told.value) is kind, told.value


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files but git's own."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def alone(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """No configuration of whoever runs the tests."""
    home.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for name in [name for name in os.environ if name.startswith("GIT_AUTHOR")]:
        monkeypatch.delenv(name)
