"""Runs of named steps: in sequence, side by side, tried again, timed out, cancelled, resumed and taken back."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from att.problems import Problem, ProjectNotFound
from att.workflow.errors import RunBusy, RunEnded, RunNotFound, RunNotResumable
from att.workflow.flow import Flow
from att.workflow.models import ListRuns
from att.workflow.states import RunState
from tests.att.rooms import CALL, on_a_loop
from tests.att.workflow.works import Hand, No, begun, bench, steps, three
from tests.support import eventually


@on_a_loop
async def test_steps_run_in_sequence_and_their_outputs_are_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        await begun(made, ("k", three(hand)))
        run = await made.run("k", n=1)
        assert (run.state, run.result, run.problem) == (RunState.SUCCEEDED, {"done": True}, None)
        assert [(step.name, step.output, step.attempts) for step in run.steps] == [
            (name, f"did {name}", 1) for name in "abc"
        ]
        assert (run.input, run.actor, hand.undone) == ({"n": 1}, CALL.actor, [])
        told = [event.event_type for event in await made.rooms.told("workflow.*")]
        assert told == ["workflow.queued", "workflow.started", *["workflow.step"] * 3, "workflow.succeeded"]


@on_a_loop
async def test_steps_side_by_side_run_at_once_and_one_that_fails_ends_the_others(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        met = asyncio.Barrier(2)

        async def work(flow: Flow) -> dict[str, Any]:
            async def meet() -> int:
                async with met:
                    return 1

            both = await flow.parallel(x=meet, y=meet)
            if flow.input["more"]:
                await flow.parallel(never=hand.do("never"), fails=hand.do("fails"))
            return both

        hand.hold("never")
        hand.fails["fails"] = [No("it does not")]
        await begun(made, ("k", work))
        assert (await made.run("k", more=False)).result == {"x": 1, "y": 1}
        run = await made.run("k", more=True)
        assert run.problem is not None
        assert (run.state, run.problem["code"]) == (RunState.FAILED, "no")
        assert steps(run)["never"] == "cancelled"


@on_a_loop
async def test_a_step_is_tried_again_with_growing_waits(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand, waits = Hand(), []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        hand.fails["a"] = [OSError("1"), OSError("2")]
        hand.fails["b"] = [No("known")]
        await begun(
            made, ("k", three(hand, "a", retries=3)), ("known", three(hand, "b", retries=3)), sleep=sleep
        )
        run = await made.run("k")
        assert (run.state, run.steps[0].attempts, waits) == (RunState.SUCCEEDED, 3, [0.375, 0.75])
        assert (await made.run("known")).steps[0].attempts == 1


@on_a_loop
async def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        hand.hold("a")
        await begun(made, ("step", three(hand, "a", timeout=0.01)))
        run = await made.run("step")
        assert run.problem is not None
        assert (run.state, run.problem["code"]) == (RunState.FAILED, "step_timeout")
        await begun(made, ("whole", three(hand, "a")), timeout=0.05)
        run = await made.run("whole")
        assert run.problem is not None
        assert (run.state, run.problem["code"], steps(run)["a"]) == (
            RunState.FAILED,
            "run_timeout",
            "cancelled",
        )


@on_a_loop
async def test_a_failure_takes_back_what_was_done_the_newest_first(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        hand.fails["c"] = [RuntimeError("a fault")]
        await begun(made, ("k", three(hand)))
        run = await made.run("k")
        assert run.problem is not None
        assert (run.state, run.problem["code"], hand.undone) == (
            RunState.FAILED,
            "run_broke",
            ["c", "b", "a"],
        )
        assert steps(run) == {
            "a": "undone",
            "b": "undone",
            "c": "failed",
            **{f"undo: {name}": "done" for name in "abc"},
        }


@on_a_loop
async def test_what_cannot_be_taken_back_is_told_and_the_rest_is(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()

        async def stuck() -> None:
            raise No("it is stuck")

        async def work(flow: Flow) -> None:
            flow.undo("a", hand.undo("a"))
            flow.undo("b", stuck)
            await flow.step("x", hand.do("x"))
            raise No("not good")

        await begun(made, ("k", work))
        run = await made.run("k")
        assert run.problem is not None
        assert (run.problem["detail"], hand.undone) == ("not good", ["a"])
        assert [told["detail"] for told in run.problem["not_undone"]] == ["it is stuck"]


@on_a_loop
async def test_a_cancel_at_any_step_takes_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        for at in "abc":
            hand = Hand()
            hand.hold(at)
            await begun(made, ("k", three(hand)))
            run = await made.run("k", wait=0)
            await hand.reached[at].wait()
            ended = await made.runs.cancel("app", run.run_id, CALL, wait=20)
            assert (ended.state, ended.problem) == (RunState.CANCELLED, None)
            assert hand.undone == list("abc"["abc".index(at) :: -1])
            with pytest.raises(RunEnded):
                await made.runs.cancel("app", run.run_id, CALL)


@on_a_loop
async def test_a_failed_run_is_resumed_where_it_was(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        hand.fails["b"] = [No("not yet")]

        async def work(flow: Flow) -> dict[str, Any]:
            await flow.step("a", hand.do("a"))
            flow.undo("b", hand.undo("b"))
            await flow.step("first", hand.do("first"))
            await flow.step("b", hand.do("b"))
            return {}

        await begun(made, ("k", work))
        run = await made.run("k")
        assert (run.state, hand.undone) == (RunState.FAILED, ["b"])
        again = await made.runs.resume("app", run.run_id, CALL, wait=20)
        assert (again.state, again.problem) == (RunState.SUCCEEDED, None)
        assert hand.done == Counter(a=1, first=2, b=1)
        with pytest.raises(RunNotResumable):
            await made.runs.resume("app", run.run_id, CALL)


@on_a_loop
async def test_one_of_a_group_at_a_time_and_a_few_in_all(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        for kind in ("a", "b", "c"):
            hand.hold(kind)
        await begun(made, *((kind, three(hand, kind)) for kind in ("a", "b", "c")), limit=2)
        runs = [await made.run(kind, wait=0) for kind in ("a", "b", "c")]
        await hand.reached["a"].wait()
        await hand.reached["b"].wait()
        with pytest.raises(RunBusy) as busy:
            await made.run("a")
        assert busy.value.extra["run_id"] == runs[0].run_id
        states = [(await made.runs.get("app", run.run_id)).state.value for run in runs]
        assert states == ["running", "running", "queued"]
        cancelled = await made.runs.cancel("app", runs[2].run_id, CALL, wait=20)
        assert (cancelled.state, cancelled.started_at, hand.done["c"]) == (RunState.CANCELLED, None, 0)
        for kind in ("a", "b"):
            hand.held[kind].set()
        assert (await made.runs.wait(runs[1].run_id, 20)).state is RunState.SUCCEEDED


@on_a_loop
async def test_kinds_of_one_group_are_not_under_way_together(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        hand.hold("a")
        await begun(made, ("a", three(hand, "a")), ("b", three(hand, "b")), exclusive="group")
        await made.run("a", wait=0)
        with pytest.raises(RunBusy):
            await made.run("b")


@on_a_loop
async def test_old_runs_are_forgotten_but_the_newest_of_a_kind(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        await begun(made, ("seldom", three(hand)), ("k", three(hand)), keep=3)
        seldom = await made.run("seldom")
        runs = [await made.run("k") for _ in range(6)]
        page = await made.runs.page(ListRuns(project_id="app", limit=2))
        rest = await made.runs.page(ListRuns(project_id="app", cursor=page.next_cursor))
        kept = [run.run_id for run in (*page.runs, *rest.runs)]
        assert kept == [*(run.run_id for run in runs[:-4:-1]), seldom.run_id]
        newest = await made.runs.newest("app", "k")
        assert newest is not None
        assert newest.run_id == runs[-1].run_id
        with pytest.raises(RunNotFound):
            await made.runs.get("app", runs[0].run_id)


@on_a_loop
async def test_followers_pull_a_bounded_list_and_see_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        go = asyncio.Event()

        async def work(flow: Flow) -> None:
            async def talk() -> None:
                for number in range(5000):
                    flow.report(f"line {number}", done=number, total=5000)
                await go.wait()

            await flow.step("talk", talk)

        await begun(made, ("k", work))
        run = await made.run("k", wait=0)
        board = made.runs.board(run.run_id)
        assert board is not None
        await eventually(lambda: board.message == "line 4999")
        assert len(board._entries) == 500
        status = await made.runs.get("app", run.run_id)
        assert (status.step, status.message, status.done) == ("talk", "line 4999", 4999)
        go.set()
        told = [entry async for block in made.runs.follow(run.run_id) for entry in block]
        assert [entry.line for entry in told] == [f"line {number}" for number in range(4500, 5000)]
        assert [
            entry async for block in made.runs.follow(run.run_id, told[-2].number) for entry in block
        ] == told[-1:]


@on_a_loop
async def test_a_project_is_deleted_after_its_runs_have_ended(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hand = Hand()
        hand.hold("a")
        await begun(made, ("k", three(hand)))
        await made.run("k", wait=0)
        await hand.reached["a"].wait()
        await made.rooms.projects.delete("app", CALL, keep_files=True)
        assert hand.undone == ["a"]
        with pytest.raises(ProjectNotFound):
            await made.run("k")


@on_a_loop
async def test_an_input_or_output_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:

        async def work(flow: Flow) -> None:
            async def much() -> str:
                return "x" * (5 << 20)

            await flow.step("much", much)

        await begun(made, ("k", work))
        run = await made.run("k")
        assert run.problem is not None
        assert run.problem["code"] == "run_too_large"
        with pytest.raises(Problem, match="bytes of JSON"):
            await made.run("k", much="x" * (33 << 20))
