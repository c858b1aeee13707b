"""Comparing, with the real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from att.git.errors import NotARepository, UnknownRevision
from att.problems import InvalidRequest
from tests.att.code.house import House, house
from tests.att.rooms import on_a_loop


def git(app: House, *words: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=app.folder, check=True, capture_output=True, env=env)
    return done.stdout.decode()


def commit(app: House, message: str) -> None:
    git(app, "add", "-A")
    git(app, "commit", "-qm", message)


@on_a_loop
async def test_the_working_tree_and_revisions_are_compared(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        git(app, "init", "-q")
        app.has({"a": "1\n2\n3\n", "b ü": "x\n", "bin": b"\0\1"})
        commit(app, "one")
        app.has({"a": "1\nzwei\n3\n", "bin": b"\0\2", "new": "n\n"})
        (app.folder / "b ü").rename(app.folder / "c")
        told = await app.ask("diff", path=["a"])
        assert told.diff.endswith("@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n")
        assert [f.model_dump() for f in told.files] == [
            {"path": "a", "old_path": None, "additions": 1, "deletions": 1}
        ]
        whole = await app.ask("diff")
        assert {f.path: f.additions for f in whole.files} == {"a": 1, "b ü": 0, "bin": None}
        assert "new" not in whole.diff
        commit(app, "two")
        between = await app.ask("diff", base="HEAD^", head="HEAD")
        assert ("c", "b ü") in {(f.path, f.old_path) for f in between.files}
        assert (await app.ask("diff")).diff == ""
        cut = await app.ask("diff", base="HEAD^", head="HEAD", limit=1024, context=0)
        assert len(cut.diff) <= 1024


@on_a_loop
async def test_files_that_git_does_not_know_are_shown_on_wish_and_stay_unknown(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        git(app, "init", "-q")
        app.has({"new": "n\n", ".gitignore": "no\n", "no": "x"})
        first = await app.ask("diff", untracked=True)
        assert {f.path for f in first.files} == {"new", ".gitignore"}
        commit(app, "one")
        app.has({"d/newer": "m\n"})
        assert "+m" in (await app.ask("diff", untracked=True)).diff
        assert git(app, "status", "-s") == "?? d/\n"


@on_a_loop
async def test_what_cannot_be_compared_has_a_name(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        with pytest.raises(NotARepository):
            await app.ask("diff")
        git(app, "init", "-q")
        app.has({"a": "1\n"})
        commit(app, "one")
        for revision in ("none", "--output=/tmp/x", "HEAD..HEAD"):
            with pytest.raises(UnknownRevision):
                await app.ask("diff", base=revision)
        with pytest.raises(InvalidRequest):
            await app.ask("diff", untracked=True, head="HEAD")
        assert (await app.ask("diff", path=["*"])).files == []
