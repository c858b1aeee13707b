"""What others do to the files of a change, and to its project, while it is under way."""

from __future__ import annotations

import asyncio
from pathlib import Path

from att.workflow import committing
from att.workflow.states import RunState
from tests.att.rooms import CALL, on_a_loop
from tests.att.workflow.changing import bad, changing, tree

CHANGE = [{"path": "a.txt", "content": "changed\n"}, {"path": "src/b.py", "content": "b = 2\n"}]


@on_a_loop
async def test_what_was_written_while_the_tests_ran_is_not_committed(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        head = place.head

        async def meddle(folder: Path) -> None:
            (folder / "a.txt").write_text("never tested\n")

        place.tests = meddle
        run = await place.ask(changes=CHANGE)
        assert run.state is RunState.FAILED
        assert run.problem is not None
        assert (run.problem["code"], run.problem["paths"]) == ("files_changed_meanwhile", ["a.txt"])
        assert place.head == head
        assert (place.folder / "a.txt").read_text() == "never tested\n"
        assert (place.folder / "src" / "b.py").read_text() == "b = 1\n"


@on_a_loop
async def test_a_write_after_the_commit_was_made_makes_no_second_one_in_the_next_life(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        spot = tmp_path / "spot"
        spot.mkdir()
        ground = await committing.find_ground(place.folder, None)
        (place.folder / "a.txt").write_text("changed\n")
        moment = "2026-11-21T00:00:00+00:00"
        made = await committing.commit(place.folder, spot, ["a.txt"], "Change", ground, moment)
        (place.folder / "a.txt").write_text("never tested\n")
        again = await committing.commit(place.folder, spot, ["a.txt"], "Change", ground, moment)
        assert again == made
        assert place.git("rev-list", "--count", "HEAD").strip() == "2"
        assert place.git("show", "HEAD:a.txt") == "changed\n"


@on_a_loop
async def test_a_run_that_failed_goes_on_when_asked_also_after_others_and_another_life(
    tmp_path: Path,
) -> None:
    async with changing(tmp_path) as place:
        place.tests = bad
        run = await place.ask(changes=CHANGE)
        assert run.state is RunState.FAILED
        await place.ask(changes=[{"path": "other", "content": "x"}])

        async def good(folder: Path) -> None:
            return None

        place.tests = good
        await place.bench.runs.aclose()
        changes = place.life()
        await place.bench.runs.open()
        await changes.sweep()
        ended = await place.bench.runs.resume("app", run.run_id, CALL, wait=20)
        assert ended.state is RunState.SUCCEEDED, ended.problem
        assert (place.folder / "a.txt").read_text() == "changed\n"
        assert place.git("show", "HEAD:a.txt") == "changed\n"


@on_a_loop
async def test_two_changes_of_a_project_at_once_are_not_begun(tmp_path: Path) -> None:
    from att.workflow.errors import RunBusy

    async with changing(tmp_path) as place:
        held = asyncio.Event()

        async def wait(folder: Path) -> None:
            await held.wait()

        place.tests = wait
        run = await place.ask(wait=0, changes=CHANGE)
        await place.begun.wait()
        before = sorted((tmp_path / "changes").iterdir())
        try:
            await place.ask(changes=[{"path": "other", "content": "x"}])
        except RunBusy as busy:
            assert busy.extra["run_id"] == run.run_id
        else:
            raise AssertionError("two at once")
        assert sorted((tmp_path / "changes").iterdir()) == before
        held.set()
        ended = await place.bench.runs.wait(run.run_id, 20)
        assert ended.state is RunState.SUCCEEDED, ended.problem


@on_a_loop
async def test_a_project_deleted_under_its_change_leaves_it_as_it_was_and_nothing_of_it(
    tmp_path: Path,
) -> None:
    async with changing(tmp_path) as place:
        before = tree(place.folder)

        async def never(folder: Path) -> None:
            await asyncio.Event().wait()

        place.tests = never
        run = await place.ask(wait=0, changes=CHANGE)
        await place.begun.wait()
        await place.bench.rooms.projects.delete("app", CALL, keep_files=True)
        assert not place.bench.runs.is_under_way(run.run_id)
        assert tree(place.folder) == before
        assert list((tmp_path / "changes").iterdir()) == []
