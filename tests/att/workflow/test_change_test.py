"""Change, test, commit: kept as a whole, or undone to the byte."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from att.confine_errors import FileMissing, GitInternals, NotAFile, PathOutsideProject
from att.event.files import changed
from att.git.errors import BranchExists, DetachedHead, EmptyMessage, InvalidBranch, NotARepository
from att.problems import Problem
from att.workflow.errors import FilesDirty, InvalidChange, NothingToChange, PatchRefused
from att.workflow.states import RunState
from tests.att.rooms import CALL, on_a_loop
from tests.att.workflow.changing import Place, bad, changing, tree
from tests.att.workflow.works import bench

PATCH = """diff --git a/a.txt b/a.txt
--- a/a.txt
+++ b/a.txt
@@ -1 +1,2 @@
 one
+two
diff --git a/src/b.py b/src/c.py
similarity index 100%
rename from src/b.py
rename to src/c.py
diff --git a/new.sh b/new.sh
new file mode 100755
--- /dev/null
+++ b/new.sh
@@ -0,0 +1 @@
+true
diff --git a/link b/link
deleted file mode 120000
--- a/link
+++ /dev/null
@@ -1 +0,0 @@
-a.txt
\\ No newline at end of file
"""
ALL: list[dict[str, Any]] = [
    {"path": "a.txt", "content": "changed\n"},
    {"path": "src/b.py", "delete": True},
    {"path": "deep/er/new.py", "content": "new = 1\n"},
    {"path": "run.sh", "content": "#!/bin/sh\ntrue\n", "executable": False},
    {"path": "link", "delete": True},
    {"path": "bytes", "content": "AAEC/w==", "base64": True},
]


@on_a_loop
async def test_a_change_whose_tests_pass_is_committed_alone(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        (place.folder / "other.txt").write_text("of somebody else")
        place.git("add", "other.txt")
        run = await place.ask(changes=ALL, message="Do it\n\nWell.")
        assert run.state is RunState.SUCCEEDED, run.problem
        assert run.result is not None
        assert run.result["commit"] == place.head
        assert [step.name for step in run.steps] == ["look", "change", "test", "commit", "tell"]
        assert place.git("log", "-1", "--format=%B").strip() == "Do it\n\nWell."
        shown = set(place.git("show", "--name-only", "--no-renames", "--format=").split())
        assert shown == {change["path"] for change in ALL}
        assert place.git("status", "--porcelain").strip() == "A  other.txt"
        assert (place.folder / "bytes").read_bytes() == b"\x00\x01\x02\xff"
        told = await place.bench.rooms.told("code.*", "git.*")
        assert [event.event_type for event in told] == ["code.changed", "git.commit"]
        payload = {"commit": place.head, "branch": "main", "amended": False, "run_id": run.run_id}
        assert told[0].payload == changed("applied", [each["path"] for each in ALL], run_id=run.run_id)
        assert told[-1].payload == payload  # not the message, which may hold anything


@on_a_loop
async def test_a_patch_with_renames_modes_and_links_is_committed(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        run = await place.ask(patch=PATCH)
        assert run.state is RunState.SUCCEEDED, run.problem
        assert (place.folder / "a.txt").read_text() == "one\ntwo\n"
        assert (place.folder / "src" / "c.py").read_text() == "b = 1\n"
        assert (place.folder / "new.sh").stat().st_mode & 0o111
        assert not (place.folder / "link").is_symlink()
        assert place.git("status", "--porcelain") == ""


@pytest.mark.parametrize("given", [{"changes": ALL}, {"patch": PATCH}], ids=["changes", "patch"])
def test_a_change_whose_tests_fail_is_undone_to_the_byte(tmp_path: Path, given: dict[str, Any]) -> None:
    @on_a_loop
    async def whole() -> None:
        async with changing(tmp_path) as place:
            before, head, index = tree(place.folder), place.head, place.git("ls-files", "-s")
            place.tests = bad
            run = await place.ask(**given)
            assert run.state is RunState.FAILED
            assert run.problem is not None
            assert run.problem["code"] == "tests_failed"
            assert run.problem["test"] == {"counts": {"failed": 1}}
            assert tree(place.folder) == before
            assert (place.head, place.git("ls-files", "-s")) == (head, index)
            assert place.git("status", "--porcelain") == ""
            told = [event.payload for event in await place.bench.rooms.told("code.changed")]
            assert [each["change"] for each in told] == ["applied", "undone"]
            assert told[1] == {**told[0], "change": "undone"}

    whole()


NAMES = st.sampled_from(["a", "b", "d/a", "d/e/b", "ä ö", "x\ny", "-n"])
CONTENT = st.binary(max_size=40)
FILES = st.dictionaries(NAMES, st.tuples(CONTENT, st.sampled_from([0o600, 0o644, 0o755, 0o444])), max_size=5)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    files=FILES,
    wanted=st.dictionaries(NAMES, st.none() | CONTENT, min_size=1, max_size=5),
    links=st.sets(NAMES),
)
def test_whatever_the_files_were_they_are_so_again(
    files: dict[str, tuple[bytes, int]], wanted: dict[str, bytes | None], links: set[str]
) -> None:
    import base64

    @on_a_loop
    async def whole() -> None:
        with tempfile.TemporaryDirectory() as home:
            async with changing(Path(home)) as place:
                for name, (content, mode) in files.items():
                    path = place.folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if name in links:
                        path.symlink_to("nowhere")
                        continue
                    path.write_bytes(content)
                    path.chmod(mode)
                place.commit_all()
                before, status = tree(place.folder), place.git("status", "--porcelain")
                place.tests = bad
                changes = [
                    {"path": name, "content": base64.b64encode(content).decode(), "base64": True}
                    if content is not None
                    else {"path": name, "delete": True}
                    for name, content in wanted.items()
                ]
                try:
                    run = await place.ask(changes=changes)
                    assert run.state is RunState.FAILED
                    assert run.problem is not None
                    assert "not_undone" not in run.problem
                except (NothingToChange, FileMissing, InvalidChange):
                    pass
                assert tree(place.folder) == before
                assert place.git("status", "--porcelain") == status

    whole()


@on_a_loop
async def test_what_somebody_else_wrote_meanwhile_is_kept_and_told(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:

        async def meddle(folder: Path) -> Problem:
            (folder / "a.txt").write_text("theirs\n")
            (folder / "deep" / "theirs").write_text("theirs too\n")
            return await bad(folder)

        place.tests = meddle
        run = await place.ask(changes=ALL)
        assert run.state is RunState.FAILED
        assert run.problem is not None
        [left] = run.problem["not_undone"]
        assert (left["code"], left["paths"]) == ("files_changed_meanwhile", ["a.txt"])
        assert (place.folder / "a.txt").read_text() == "theirs\n"
        assert (place.folder / "deep" / "theirs").read_text() == "theirs too\n"
        assert (place.folder / "src" / "b.py").read_text() == "b = 1\n"
        assert not (place.folder / "deep" / "er").exists()
        assert [file.read_text() for file in (tmp_path / "changes" / run.run_id).glob("before-0")] == [
            "one\n"
        ]


@on_a_loop
async def test_a_cancel_while_the_tests_run_undoes_the_change(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        before = tree(place.folder)

        async def never(folder: Path) -> None:
            await asyncio.Event().wait()

        place.tests = never
        run = await place.ask(wait=0, changes=ALL)
        await place.begun.wait()
        assert tree(place.folder) != before
        ended = await place.bench.runs.cancel("app", run.run_id, CALL, wait=20)
        assert ended.state is RunState.CANCELLED
        assert tree(place.folder) == before


@on_a_loop
async def test_the_next_life_goes_on_with_the_tests(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:

        async def never(folder: Path) -> None:
            await asyncio.Event().wait()

        async def good(folder: Path) -> None:
            return None

        place.tests = never
        run = await place.ask(wait=0, changes=ALL)
        await place.begun.wait()
        await place.bench.runs.aclose()
        assert (await place.bench.runs.get("app", run.run_id)).state is RunState.QUEUED
        place.tests = good
        place.life()
        assert await place.bench.runs.open() == [run.run_id]
        ended = await place.bench.runs.wait(run.run_id, 20)
        assert ended.state is RunState.SUCCEEDED, ended.problem
        assert {step.name: step.attempts for step in ended.steps} == {
            "look": 1,
            "change": 1,
            "test": 2,
            "commit": 1,
            "tell": 1,
        }
        assert ended.result is not None
        assert ended.result["commit"] == place.head
        await place.changes.sweep()
        assert list((tmp_path / "changes").iterdir()) == []


@on_a_loop
async def test_a_commit_that_was_made_already_is_made_once_and_can_be_taken_back(tmp_path: Path) -> None:
    from att.workflow import committing

    async with changing(tmp_path) as place:
        head, spot = place.head, tmp_path / "spot"
        spot.mkdir()
        ground = await committing.find_ground(place.folder, "new")
        (place.folder / "a.txt").write_text("changed\n")
        moment = "2026-11-21T00:00:00+00:00"
        made = [
            await committing.commit(place.folder, spot, ["a.txt"], "Change", ground, moment) for _ in range(2)
        ]
        assert made[0] == made[1]
        assert place.git("rev-list", "--count", "new").strip() == "2"
        assert place.git("branch", "--show-current").strip() == "new"
        assert await committing.take_back(place.folder, spot)
        assert (place.git("branch", "--show-current").strip(), place.head) == ("main", head)
        assert place.git("branch", "--list", "new") == ""
        assert not await committing.take_back(place.folder, spot)


def file(path: str, content: str = "x") -> dict[str, Any]:
    return {"changes": [{"path": path, "content": content}]}


REFUSED: list[tuple[dict[str, Any], type[Problem]]] = [
    (file("../out"), PathOutsideProject),
    (file("/etc/passwd"), PathOutsideProject),
    (file("out/file"), PathOutsideProject),
    (file(".git/hooks/pre-commit"), GitInternals),
    (file("src"), NotAFile),
    (file("dirty"), FilesDirty),
    (file("a.txt", "one\n"), NothingToChange),
    ({"changes": [{"path": "none", "delete": True}]}, FileMissing),
    ({"changes": [{"path": "x", "content": "?", "base64": True}]}, InvalidChange),
    ({"changes": [{"path": "x", "content": "1"}, {"path": "./x", "content": "2"}]}, InvalidChange),
    ({"patch": PATCH.replace(" one", " three")}, PatchRefused),
    ({"patch": "nothing of the kind"}, PatchRefused),
    ({"patch": PATCH.replace("new.sh", ".git/new.sh")}, GitInternals),
    ({"patch": PATCH.replace("b/new.sh", "b/../new.sh")}, PathOutsideProject),
    (file("x") | {"message": " \n"}, EmptyMessage),
    (file("x") | {"branch": "a..b"}, InvalidBranch),
    (file("x") | {"branch": "taken"}, BranchExists),
]


@pytest.mark.parametrize(("given", "problem"), REFUSED, ids=lambda each: json.dumps(each, default=str)[:50])
def test_what_cannot_go_well_is_refused_before_anything_is_done(
    tmp_path: Path, given: dict[str, Any], problem: type[Problem]
) -> None:
    @on_a_loop
    async def whole() -> None:
        async with changing(tmp_path) as place:
            (place.folder / "out").symlink_to("/tmp")
            place.git("branch", "taken")
            place.commit_all()
            (place.folder / "dirty").write_text("mine")
            before = tree(place.folder)
            with pytest.raises(problem) as met:
                await place.ask(**given)
            assert type(met.value) is problem
            assert tree(place.folder) == before
            assert list((tmp_path / "changes").glob("*")) == []

    whole()


@on_a_loop
async def test_a_dirty_file_is_changed_when_that_is_allowed_and_is_so_again(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        (place.folder / "a.txt").write_text("not committed\n")
        before = tree(place.folder)
        place.tests = bad
        run = await place.ask(changes=ALL, allow_dirty=True)
        assert run.state is RunState.FAILED
        assert tree(place.folder) == before


@on_a_loop
async def test_no_repository_and_no_branch_are_told(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        place.git("checkout", "-q", "--detach")
        with pytest.raises(DetachedHead):
            await place.ask(changes=ALL)
        run = await place.ask(changes=ALL, branch="from/here")
        assert run.state is RunState.SUCCEEDED, run.problem
        (place.folder / ".git").rename(tmp_path / "git")
        with pytest.raises(NotARepository):
            await place.ask(**file("x"))


@on_a_loop
async def test_an_ignored_file_is_changed_but_not_committed(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        (place.folder / ".gitignore").write_text("*.log\n")
        head = place.commit_all()
        run = await place.ask(changes=[{"path": "a.log", "content": "1"}])
        assert run.result is not None
        assert (run.result["commit"], run.result["ignored"], place.head) == (None, ["a.log"], head)
        assert (place.folder / "a.log").read_text() == "1"


@on_a_loop
async def test_the_first_commit_of_a_repository_is_made_and_its_change_undone(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        place = Place(made, tmp_path)
        place.git("init", "-q", "-b", "main")
        await made.runs.open()
        good, place.tests = place.tests, bad
        changes = [{"path": "deep/new", "content": "1"}]
        assert (await place.ask(changes=changes)).state is RunState.FAILED
        assert tree(place.folder) == {}
        place.tests = good
        run = await place.ask(changes=changes)
        assert run.result is not None
        assert (run.result["parent"], run.result["commit"]) == (None, place.head)


@on_a_loop
async def test_many_files_are_changed_at_once(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        run = await place.ask(changes=[{"path": f"{'d' * 200}/{n}", "content": str(n)} for n in range(1000)])
        assert run.state is RunState.SUCCEEDED, run.problem
        assert place.git("status", "--porcelain") == ""
