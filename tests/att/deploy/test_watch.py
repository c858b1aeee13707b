"""A version that turns ill after the switch is gone back from, unless it was taken in hand; one that stays well is final."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from att.deploy import watch_rows
from att.deploy.models import AskHistory, Deploy
from att.deploy.probation import Standing
from att.store.errors import DatabaseLocked
from att.workflow.states import RunState
from tests.att.deploy.house import Bench, on_bench, open_bench
from tests.att.runtime.house import ME
from tests.support import eventually, free_port


async def two_out(bench: Bench, watch: str = "watch = 40", serve: str = "nat") -> None:
    """Two versions, the second under watch."""
    folder = await bench.project(serve=serve, port=free_port())
    said = (folder / "att.toml").read_text().replace("stop_grace = 5", "stop_grace = 0.5")
    said = said.replace("period = 0.2", "period = 0.2\ntimeout = 0.4\nfailure_threshold = 2")
    (folder / "att.toml").write_text(f"{said}[deploy]\n{watch}\n")
    for version in ("1", "2"):
        run = await bench.out(version)
        assert run.state is RunState.SUCCEEDED, run.problem
        assert run.result is not None


async def history(bench: Bench) -> list[Deploy]:
    return (await bench.deploys.history(AskHistory(project_id="demo"))).deploys


async def gone_back(bench: Bench) -> Deploy:
    """The rollback, when it is through and noted; the deploy that it takes back is as it should be."""

    async def through() -> bool:
        last = (await history(bench))[0]
        return (last.kind, last.state) == ("rollback", "succeeded")

    await eventually(through, 20)
    back, taken, first = (await history(bench))[:3]
    assert await bench.says() == "1"
    assert (taken.state, taken.watch, taken.reason) == ("rolled_back", "failed", back.reason)
    assert (back.artefact_id, back.previous_artefact_id) == (first.artefact_id, taken.artefact_id)
    assert (back.actor, back.watch) == ("att", None)
    event = (await bench.house.told("deploy.rolled_back"))[-1]
    assert event.payload["reason"] == back.reason
    assert event.payload["of"] == taken.deploy_id
    assert (await bench.house.told("deploy.failed"))[-1].payload["code"] == "version_turned_ill"
    return back


async def kill(bench: Bench) -> None:
    os.kill((await bench.house.runtime.status("demo", figures=False)).pid or 0, signal.SIGKILL)


@pytest.mark.parametrize("serve", ["socket", "nat"])
def test_a_version_that_keeps_dying_is_gone_back_from(tmp_path: Path, serve: str) -> None:
    @on_bench
    async def dying(bench: Bench) -> None:
        await two_out(bench, serve=serve)
        status = await bench.deploys.status("demo")
        assert status.watched_until is not None
        assert status.last is not None
        assert (status.last.watch, status.last.watched_until) == ("on", status.watched_until)
        first = (await bench.house.runtime.status("demo")).run_id
        await kill(bench)

        async def back() -> bool:
            now = await bench.house.runtime.status("demo")
            return now.state == "running" and now.run_id != first and now.ready_at is not None

        await eventually(back)
        assert await bench.says() == "2"  # once is no reason
        await kill(bench)
        deploy = await gone_back(bench)
        assert "died 2 times" in str(deploy.reason)
        assert (await bench.deploys.status("demo")).watched_until is None

    dying(tmp_path)


@on_bench
async def test_a_deploy_of_what_runs_already_takes_nothing_from_its_watch(bench: Bench) -> None:
    await two_out(bench, "watch = 40\nwatch_crashes = 0")
    until = (await bench.deploys.status("demo")).watched_until
    again = await bench.deploy(build=True)
    assert again.state is RunState.SUCCEEDED
    assert until
    assert (await bench.deploys.status("demo")).watched_until == until
    await kill(bench)

    async def through() -> bool:
        return (await history(bench))[0].kind == "rollback"

    await eventually(through, 20)
    await eventually(lambda: bench.house.told("deploy.rolled_back"), 20)
    assert await bench.says() == "1"
    known = (await bench.deploys.status("demo")).artefacts
    assert [one.good for one in known] == [False, True]


@on_bench
async def test_a_version_that_turns_unhealthy_is_gone_back_from(bench: Bench) -> None:
    await two_out(bench, "watch = 40\nwatch_crashes = 0")
    now = await bench.house.runtime.status("demo")
    os.kill(now.pid or 0, signal.SIGSTOP)  # its probe gets no answer any more
    assert "the probe http" in str((await gone_back(bench)).reason)


@on_bench
async def test_a_version_that_stays_well_is_final_and_dies_as_any_other(bench: Bench) -> None:
    await two_out(bench, "watch = 0.3\nwatch_crashes = 0")

    async def final() -> bool:
        return (await history(bench))[0].watch == "passed"

    await eventually(final)
    assert (await bench.deploys.status("demo")).watched_until is None
    await kill(bench)

    async def again() -> bool:
        now = await bench.house.runtime.status("demo")
        return now.restarts == 1 and now.state == "running"

    await eventually(again)
    assert [one.state for one in await history(bench)] == ["succeeded", "succeeded"]


@on_bench
async def test_without_a_watch_nothing_is_gone_back_from(bench: Bench) -> None:
    await two_out(bench, "watch = 0")
    assert [one.watch for one in await history(bench)] == [None, None]


@pytest.mark.parametrize("verb", ["stop", "restart", "deploy"])
def test_whoever_takes_the_app_in_hand_ends_the_watch(tmp_path: Path, verb: str) -> None:
    @on_bench
    async def ended(bench: Bench) -> None:
        await two_out(bench)
        second = (await history(bench))[0].deploy_id
        if verb == "stop":
            await bench.house.runtime.stop("demo", ME)
        elif verb == "restart":
            await bench.house.runtime.restart("demo", ME)
        else:
            await bench.out("3")
        told = {one.deploy_id: one for one in await history(bench)}
        assert (told[second].watch, told[second].state) == ("ended", "succeeded")
        assert await bench.house.told("deploy.rolled_back") == []
        assert {task.get_name() for task in asyncio.all_tasks()} & {f"watch {second}"} == set()

    ended(tmp_path)


@on_bench
async def test_a_first_version_that_turns_ill_has_nothing_to_go_back_to(bench: Bench) -> None:
    folder = await bench.project(serve="nat", port=free_port())
    with (folder / "att.toml").open("a") as settings:
        settings.write("[deploy]\nwatch_crashes = 0\n")
    await bench.out("1")
    await kill(bench)

    async def noted() -> bool:
        last = (await history(bench))[0]
        return (last.state, last.watch) == ("failed", "failed")

    await eventually(noted)
    assert [one.kind for one in await history(bench)] == ["deploy"]

    async def well() -> bool:
        return (await bench.house.runtime.status("demo")).state == "running"

    await eventually(well)  # the restart policy has it


def test_the_next_life_goes_on_with_the_watch(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_bench(tmp_path / "home") as bench:
            await two_out(bench)
        async with open_bench(tmp_path / "home") as bench:
            bench.folders["demo"] = tmp_path / "home" / "projects" / "demo"
            await bench.house.runtime.resume()

            async def up() -> bool:
                return (await bench.house.runtime.status("demo")).state == "running"

            await eventually(up)
            assert (await history(bench))[0].watch == "on"
            for _ in range(2):
                before = (await bench.house.runtime.status("demo")).restarts
                await kill(bench)

                async def more(before: int = before) -> bool:
                    now = await bench.house.runtime.status("demo")
                    return now.restarts > before or bool(await bench.house.told("deploy.rolled_back"))

                await eventually(more)
            await gone_back(bench)

    asyncio.run(story())


@on_bench
async def test_settings_of_the_watch_that_are_wrong_are_told_by_the_build(bench: Bench) -> None:
    folder = await bench.project(serve="nat")
    with (folder / "att.toml").open("a") as settings:
        settings.write("[deploy]\nwatch = 'long'\n")
    run = await bench.build()
    assert run.problem is not None
    assert (run.problem["code"], run.problem["fields"][0]["field"]) == ("invalid_settings", "deploy.watch")


@on_bench
async def test_a_store_that_was_locked_for_a_moment_ends_no_watch(bench: Bench) -> None:
    watching = bench.deploys._watching
    store, refused = watching._store, asyncio.Event()

    async def write(work):  # type: ignore[no-untyped-def]
        if "turn" in work.__qualname__ and not refused.is_set():
            refused.set()
            raise DatabaseLocked("for a moment")
        return await store.write(work)

    watching._store = type("Locked", (), {"write": staticmethod(write), "read": store.read})()  # type: ignore[assignment]
    await two_out(bench, "watch = 40\nwatch_crashes = 0")
    await kill(bench)
    await asyncio.wait_for(refused.wait(), 20)
    await gone_back(bench)


@on_bench
async def test_a_version_that_runs_no_more_is_not_gone_back_from(bench: Bench) -> None:
    """The release before knows of no watch: whatever came out under it ended none."""
    await two_out(bench)
    watched = await bench.house.store.read(watch_rows.one((await history(bench))[0].deploy_id))
    assert watched is not None
    await bench.out("3")
    await bench.house.store.write(watch_rows.turn(watched.deploy_id, Standing.ILL, when=Standing.ENDED))
    await bench.deploys._watching.open()

    async def ended() -> bool:
        now = await bench.house.store.read(watch_rows.one(watched.deploy_id))
        return now is not None and now.state is Standing.ENDED

    await eventually(ended)
    assert [one.kind for one in await history(bench)] == ["deploy"] * 3
    assert await bench.says() == "3"


@on_bench
async def test_a_stop_comes_before_the_way_back_that_is_just_being_begun(bench: Bench) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    begin = bench.runs._added

    async def held(live, text: str) -> None:  # type: ignore[no-untyped-def]
        if live.kept.kind == "deploy.rollback":
            reached.set()
            await go_on.wait()
        await begin(live, text)

    bench.runs._added = held  # type: ignore[method-assign]
    await two_out(bench, "watch = 40\nwatch_crashes = 0")
    await kill(bench)
    await asyncio.wait_for(reached.wait(), 20)
    stopping = asyncio.create_task(bench.house.runtime.stop("demo", ME))
    await asyncio.wait([stopping], timeout=0.3)  # it has looked for what is under way
    go_on.set()
    await stopping
    run = await bench.runs.newest("demo", "deploy.rollback")
    assert run is not None
    assert run.state is RunState.CANCELLED
    assert (await bench.house.runtime.status("demo")).state == "stopped"
    assert "ended" in [one.watch for one in await history(bench)]


def test_what_a_later_release_notes_of_a_watch_is_no_hindrance() -> None:
    noted = {"deploy_id": "d", "project_id": "p", "artefact_id": "a", "run_id": "r", "after": 1}
    noted |= {"until": "2026-01-01T00:00:00Z", "crashes": 1, "timeout": 5.0, "state": "on", "reason": ""}
    assert watch_rows.of({"watch": {**noted, "pace": 3}}) == watch_rows.of({"watch": noted})
