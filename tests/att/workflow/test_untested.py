"""Files that a change_test has written and not tested yet: no commit of anybody else takes them along."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from att.git.models import AddFiles, ChangeBranch, MakeCommit, PullBranch
from att.problems import Problem
from att.workflow.errors import RunBusy
from att.workflow.states import RunState
from tests.att.rooms import CALL, on_a_loop
from tests.att.workflow.changing import Place, bad, changing
from tests.support import eventually

CHANGE = {"changes": [{"path": "a.txt", "content": "not tested\n"}]}


def asked(place: Place) -> dict[str, Callable[[], Awaitable[object]]]:
    room, app = place.room, {"project_id": "app"}
    return {
        "add": lambda: room.add(AddFiles(**app, all=True)),
        "commit": lambda: room.commit(MakeCommit(**app, message="m", all=True), CALL),
        "amend": lambda: room.commit(MakeCommit(**app, amend=True), CALL),
        "pull": lambda: room.pull(PullBranch(**app), CALL),
        "switch": lambda: room.branch(ChangeBranch(**app, name="side", action="switch"), CALL),
        "rename": lambda: room.branch(ChangeBranch(**app, name="main", action="rename", new_name="x"), CALL),
    }


@on_a_loop
async def test_while_a_change_is_tested_nothing_of_it_can_be_committed(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        place.git("branch", "side")
        go, head = asyncio.Event(), place.head

        async def tests(folder: Path) -> Problem | None:
            await go.wait()
            return await bad(folder)

        place.tests = tests
        run = await place.ask(**CHANGE, wait=0)
        await place.begun.wait()
        assert (place.folder / "a.txt").read_text() == "not tested\n"
        for name, ask in asked(place).items():
            with pytest.raises(RunBusy) as told:
                await ask()
            assert told.value.extra["run_id"] == run.run_id, name
        made = await place.room.branch(ChangeBranch(project_id="app", name="new"), CALL)
        assert made.commit == head  # a name takes no file along
        go.set()
        assert (await place.bench.runs.wait(run.run_id, 30)).state is RunState.FAILED
        await place.room.add(AddFiles(project_id="app", all=True))
        assert (place.git("status", "--porcelain"), place.head) == ("", head)


@on_a_loop
async def test_a_change_waits_for_a_commit_that_was_begun_before_it(tmp_path: Path) -> None:
    async with changing(tmp_path) as place:
        (place.folder / "other.txt").write_text("of somebody else")
        steps: list[Any] = []
        async with place.room.turn("app"):
            run = await place.ask(**CHANGE, wait=0)

            async def looked() -> bool:
                steps[:] = (await place.bench.runs.get("app", run.run_id)).steps
                return [step.name for step in steps] == ["look", "change"]

            await eventually(looked)
            assert (place.folder / "a.txt").read_text() == "one\n"
        assert (await place.bench.runs.wait(run.run_id, 30)).state is RunState.SUCCEEDED
        assert (place.folder / "a.txt").read_text() == "not tested\n"
