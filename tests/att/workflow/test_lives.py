"""Runs over the lives of a daemon: paused, killed, gone on with by other code, finished or taken back by the next."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from att.workflow import rows
from att.workflow.errors import RunNotResumable, RunsStopping
from att.workflow.states import LIVES, RunState, StepState
from tests.att.rooms import CALL, on_a_loop
from tests.att.workflow.works import Bench, Hand, begun, bench, steps, three


@on_a_loop
async def test_the_next_life_goes_on_by_name_with_other_code(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        hand.hold("c")
        await begun(made, ("k", three(hand)))
        run = await made.run("k", wait=0)
        await hand.reached["c"].wait()
        await made.runs.aclose()
        assert (await made.runs.get("app", run.run_id)).state is RunState.QUEUED
        assert hand.undone == []
        hand.held.clear()
        await begun(made, ("k", three(hand, "a", "inserted", "c", "d")))  # b is gone
        ended = await made.runs.wait(run.run_id, 20)
        assert ended.state is RunState.SUCCEEDED, ended.problem
        assert hand.done == Counter(dict.fromkeys(("a", "b", "inserted", "c", "d"), 1))
        assert next(step for step in ended.steps if step.name == "c").attempts == 2


@on_a_loop
async def test_a_life_that_leaves_lets_a_step_come_to_its_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        hand.hold("b")
        await begun(made, ("k", three(hand)), to_checkpoint=5)
        run = await made.run("k", wait=0)
        await hand.reached["b"].wait()
        waiting = asyncio.create_task(made.runs.wait(run.run_id, 60))
        made.runs.leave()
        assert (await waiting).state is RunState.RUNNING  # nobody is kept waiting
        hand.held["b"].set()
        await made.runs.aclose()
        paused = await made.runs.get("app", run.run_id)
        assert (paused.state, steps(paused)) == (RunState.QUEUED, {"a": "done", "b": "done"})
        with pytest.raises(RunsStopping):
            await made.run("k")


@on_a_loop
async def test_work_that_cannot_be_resumed_is_interrupted_and_taken_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        hand.hold("b")
        await begun(made, ("k", three(hand)), resume=False)
        run = await made.run("k", wait=0)
        await hand.reached["b"].wait()
        await made.runs.aclose()
        ended = await made.runs.get("app", run.run_id)
        assert ended.problem is not None
        assert (ended.state, ended.problem["code"]) == (RunState.INTERRUPTED, "run_interrupted")
        assert hand.undone == ["b", "a"]
        await begun(made, ("k", three(hand)), resume=False)
        with pytest.raises(RunNotResumable):
            await made.runs.resume("app", run.run_id, CALL)


async def left_running(made: Bench, kind: str, **details: Any) -> str:
    """What a life leaves that is killed in the middle of a run: `a` is done, `b` was begun."""

    def work(connection: Any) -> None:
        kept = rows.Kept(
            "r1", "app", kind, RunState.RUNNING, {}, "tester", "req", "2026-11-21T00:00:00.000000Z"
        )
        kept.details = details
        rows.add(connection, kept, "{}", 100)
        rows.begin(connection, kept, "workflow.started")
        rows.begin_step(connection, "r1", "a")
        rows.end_step(connection, kept, "a", '"before"', None)
        rows.begin_step(connection, "r1", "b")

    await made.rooms.store.write(work)
    return "r1"


@on_a_loop
async def test_after_a_kill_the_step_that_was_cut_off_is_run_again_and_no_other(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        run_id = await left_running(made, "k")
        await begun(made, ("k", three(hand)))
        run = await made.runs.wait(run_id, 20)
        assert (run.state, hand.done) == (RunState.SUCCEEDED, Counter(b=1, c=1))
        assert [(step.output, step.attempts) for step in run.steps] == [
            *(("before", 1), ("did b", 2), ("did c", 1)),
        ]


@on_a_loop
async def test_after_a_kill_in_the_middle_of_a_cancel_it_is_taken_back_and_nothing_begun(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        run_id = await left_running(made, "k", verdict={"what": "cancel"})
        await begun(made, ("k", three(hand)))
        run = await made.runs.wait(run_id, 20)
        assert (run.state, hand.done, hand.undone) == (RunState.CANCELLED, Counter(), ["b", "a"])
        assert steps(run)["a"] == "undone"


@on_a_loop
async def test_a_run_that_lives_die_of_is_not_begun_for_ever(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        run_id = await left_running(made, "k", deaths=LIVES)
        await begun(made, ("k", three(hand)))
        run = await made.runs.wait(run_id, 20)
        assert (run.state, hand.done, hand.undone) == (RunState.INTERRUPTED, Counter(), ["b", "a"])


@pytest.mark.parametrize("resume", [None, False], ids=["unknown kind", "does not resume"])
def test_what_the_code_cannot_go_on_with_is_interrupted(tmp_path: Path, resume: bool | None) -> None:
    @on_a_loop
    async def whole() -> None:
        async with bench(tmp_path) as made:
            hand = Hand()
            run_id = await left_running(made, "k")
            await begun(made, *([] if resume is None else [("k", three(hand))]), resume=bool(resume))
            run = await made.runs.get("app", run_id)
            assert (run.state, steps(run), hand.done) == (
                *(RunState.INTERRUPTED, {"a": "done", "b": "cancelled"}, Counter()),
            )
            assert (await made.rooms.told("workflow.interrupted"))[0].outcome == "failed"

    whole()


@on_a_loop
async def test_a_life_that_ends_anywhere_leaves_what_the_next_can_finish(tmp_path: Path) -> None:
    chance = random.Random(7)
    async with bench(tmp_path) as made:
        hand = Hand()
        names = [f"s{number}" for number in range(8)]
        await begun(made, ("k", three(hand, *names)))
        run = await made.run("k", wait=0)
        for _ in range(20):
            for _ in range(chance.randrange(1, 40)):
                await asyncio.sleep(0)
            await made.runs.aclose()
            await begun(made, ("k", three(hand, *names)))
        ended = await made.runs.wait(run.run_id, 20)
        assert ended.state is RunState.SUCCEEDED
        assert set(steps(ended).values()) == {StepState.DONE.value}
        assert set(hand.done) == set(names)
        told = Counter(event.payload["step"] for event in await made.rooms.told("workflow.step"))
        assert told == Counter(names)
        assert len(await made.rooms.told("workflow.succeeded")) == 1
