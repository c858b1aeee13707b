"""A project with a repository, whose changes are tested by a tester of the test's own."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from att.git.service import Git
from att.problems import Problem
from att.testing.models import Selection
from att.workflow.change_test import KIND, Changes
from att.workflow.changes import ChangeTest
from att.workflow.flow import Flow
from att.workflow.models import Run
from tests.att.rooms import CALL
from tests.att.workflow.works import Bench, bench

Looks = Callable[[Path], Awaitable[Problem | None]]


class Broken(Problem):
    code, status, title = "tests_failed", 422, "Tests failed"
    hint = "Mend them."


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Somebody", "-c", "user.email=s@example.org")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def tree(folder: Path) -> dict[str, Any]:
    """Every file, link and folder but git's: kind, mode, time, content."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.split("/")[0] == ".git":
            continue
        status = path.lstat()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", stat.S_IMODE(status.st_mode))
        else:
            found[name] = (stat.S_IMODE(status.st_mode), status.st_mtime_ns, path.read_bytes())
    return found


class Place:
    """The project `app`, and what its tests say."""

    def __init__(self, bench: Bench, home: Path) -> None:
        self.bench = bench
        self.home = home
        self.folder = home / "projects" / "app"
        self.tests: Looks = _good
        self.begun = asyncio.Event()
        self.changes = self.life()

    def life(self) -> Changes:
        runs = self.bench.life()
        rooms = self.bench.rooms
        self.room = Git(rooms.projects, rooms.events, untested=lambda project_id: runs.busy(project_id, KIND))
        self.changes = Changes(self.home, rooms.projects, rooms.events, runs, self._tested, self.room.turn)
        return self.changes

    async def _tested(self, flow: Flow, selection: Selection) -> tuple[dict[str, Any], Problem | None]:
        self.begun.set()
        problem = await self.tests(self.folder)
        return {"counts": {"failed": 0 if problem is None else 1}}, problem

    async def ask(self, wait: float = 30, **given: Any) -> Run:
        ask = ChangeTest(project_id="app", wait=0, **{"message": "Change", **given})
        run = await self.changes.begin(ask, CALL)
        return await self.bench.runs.wait(run.run_id, wait) if wait else run

    def git(self, *words: str) -> str:
        return git(self.folder, *words)

    def commit_all(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "as it was")
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD").strip()


async def _good(folder: Path) -> None:
    return None


async def bad(folder: Path) -> Problem:
    return Broken("1 of 1 tests failed.")


@asynccontextmanager
async def changing(home: Path) -> AsyncIterator[Place]:
    async with bench(home) as made:
        place = Place(made, home)
        place.git("init", "-q", "-b", "main")
        (place.folder / "a.txt").write_text("one\n")
        (place.folder / "src").mkdir()
        (place.folder / "src" / "b.py").write_text("b = 1\n")
        (place.folder / "run.sh").write_text("#!/bin/sh\n")
        (place.folder / "run.sh").chmod(0o755)
        (place.folder / "link").symlink_to("a.txt")
        place.commit_all()
        await made.runs.open()
        yield place
