"""Versions of an app that holds its own port: stopped, started, checked, and back when that fails."""

from __future__ import annotations

import asyncio

import pytest

from att.deploy.errors import (
    AlreadyDeployed,
    ArtefactNotFound,
    DeployUnderWay,
    NoArtefact,
    NoPreviousVersion,
    NotGood,
)
from att.deploy.models import AskHistory, BuildArtefact, RollBack, RunDeploy
from att.project.models import ProjectStatus
from att.runtime.errors import NotRunning
from att.workflow.states import RunState
from tests.att.deploy.house import Bench, on_bench
from tests.att.runtime.house import ME
from tests.support import eventually, free_port


@on_bench
async def test_a_version_is_brought_out_and_taken_back(bench: Bench) -> None:
    await bench.project(serve="nat", port=free_port())
    first = await bench.out("1")
    assert first.state is RunState.SUCCEEDED, first.problem
    second = await bench.out("2")
    assert await bench.says() == "2"
    status = await bench.deploys.status("demo")
    assert second.result is not None
    assert first.result is not None
    assert status.running == status.artefact_id == second.result["artefact_id"]
    assert status.previous == first.result["artefact_id"]
    back = await bench.back()
    assert back.state is RunState.SUCCEEDED, back.problem
    assert await bench.says() == "1"
    page = await bench.deploys.history(AskHistory(project_id="demo", limit=2))
    assert [(one.kind, one.state) for one in page.deploys] == [
        ("rollback", "succeeded"),
        ("deploy", "succeeded"),
    ]
    rest = await bench.deploys.history(AskHistory(project_id="demo", cursor=page.next_cursor))
    assert [one.artefact_id for one in rest.deploys] == [first.result["artefact_id"]]
    assert rest.next_cursor is None
    names = [one.event_type for one in await all_events(bench, "deploy.")]
    assert names == ["deploy.started", "deploy.completed"] * 2 + ["deploy.started", "deploy.rolled_back"]


@on_bench
async def test_a_failing_health_brings_the_one_before_back(bench: Bench) -> None:
    await bench.project(serve="nat", port=free_port())
    await bench.out("good")
    bench.version("bad", health=500)
    run = await bench.deploy(build=True, health_timeout=1)
    assert run.state is RunState.FAILED
    assert run.problem is not None
    assert run.problem["rolled_back"] is True

    async def well() -> bool:
        status = await bench.house.runtime.status("demo")
        return status.state == "running" and bool(status.healthy)

    await eventually(well)
    assert await bench.says() == "good"
    status = await bench.deploys.status("demo")
    assert (status.running, status.last and status.last.state) == (status.artefact_id, "rolled_back")
    assert (await bench.house.projects.get("demo")).status is ProjectStatus.RUNNING
    assert len(bench.house.keeper._runs) == 1


@on_bench
async def test_a_first_version_that_fails_leaves_nothing_running(bench: Bench) -> None:
    await bench.project(serve="nat")
    bench.version("bad", dies=True)
    run = await bench.deploy(build=True)
    assert run.problem is not None
    assert (run.problem["code"], run.problem["rolled_back"]) == ("deploy_failed", False)
    assert (await bench.house.runtime.status("demo")).state == "stopped"
    with pytest.raises(NotRunning):
        await bench.house.runtime.stop("demo", ME)
    assert len(bench.house.keeper._runs) == 0


@on_bench
async def test_what_cannot_be_is_refused_by_name(bench: Bench) -> None:
    await bench.project(serve="nat")
    with pytest.raises(NoArtefact):
        await bench.deploys.run(RunDeploy(project_id="demo"), ME)
    with pytest.raises(NoPreviousVersion):
        await bench.deploys.rollback(RollBack(project_id="demo"), ME)
    with pytest.raises(ArtefactNotFound):
        await bench.deploys.run(RunDeploy(project_id="demo", artefact_id="nothing"), ME)
    built = await bench.build()
    assert built.result is not None
    artefact_id = built.result["artefact"]["artefact_id"]
    with pytest.raises(NotGood):
        await bench.deploys.rollback(RollBack(project_id="demo", artefact_id=artefact_id), ME)
    await bench.deploy()
    with pytest.raises(AlreadyDeployed):
        await bench.deploys.run(RunDeploy(project_id="demo", artefact_id=artefact_id), ME)


@on_bench
async def test_a_second_deploy_at_once_is_refused_and_so_is_a_start(bench: Bench) -> None:
    await bench.project()
    await bench.out("1")
    bench.version("2", health=503)
    run = await bench.deploys.run(RunDeploy(project_id="demo", build=True), ME)
    for wish in (
        bench.deploys.run(RunDeploy(project_id="demo"), ME),
        bench.deploys.build(BuildArtefact(project_id="demo"), ME),
        bench.deploys.rollback(RollBack(project_id="demo"), ME),
    ):
        with pytest.raises((DeployUnderWay, NoPreviousVersion, AlreadyDeployed)):
            await wish

    async def trying() -> bool:
        return len(await bench.pids()) == 2

    await eventually(trying)
    with pytest.raises(DeployUnderWay):
        await bench.house.runtime.restart("demo", ME)
    assert (await bench.deploys.status("demo")).under_way == run.run_id
    await bench.runs.cancel("demo", run.run_id, ME, wait=20)
    assert await bench.says() == "1"
    assert len(await bench.pids()) == 1
    assert (await bench.deploys.status("demo")).last.state == "cancelled"  # type: ignore[union-attr]


@on_bench
async def test_a_deploy_cancelled_in_the_middle_brings_the_one_before_back(bench: Bench) -> None:
    await bench.project(serve="nat", port=free_port())
    await bench.out("1")
    bench.version("2", health=503)
    run = await bench.deploys.run(RunDeploy(project_id="demo", build=True), ME)

    async def trying() -> bool:
        return [one.role for one in (await bench.house.runtime.status("demo")).runs] == ["candidate"]

    await eventually(trying)
    ended = await bench.runs.cancel("demo", run.run_id, ME, wait=30)
    assert ended.state is RunState.CANCELLED
    assert await bench.says() == "1"
    status = await bench.deploys.status("demo")
    assert (status.running, status.last and status.last.state) == (status.artefact_id, "cancelled")


@on_bench
async def test_a_version_of_another_project_that_fails_brings_the_other_app_back(bench: Bench) -> None:
    await bench.project("one", serve="nat", port=free_port())
    await bench.project("two", serve="nat", port=free_port())
    await bench.out("1", "one")
    bench.version("bad", name="two", dies=True)
    run = await bench.deploy("two", build=True)
    assert run.problem is not None
    assert run.problem["code"] == "deploy_failed"
    assert await bench.says("one") == "1"
    assert (await bench.house.runtime.status("two")).state == "stopped"


@on_bench
async def test_a_start_runs_what_was_deployed_and_the_files_when_asked(bench: Bench) -> None:
    await bench.project(serve="nat")
    await bench.out("deployed")
    bench.version("edited")
    await bench.house.runtime.restart("demo", ME)
    assert await bench.says() == "deployed"
    status = await bench.house.runtime.restart("demo", ME, source="files")
    assert (await bench.says(), status.artefact_id) == ("edited", None)
    await bench.house.runtime.stop("demo", ME)
    await bench.house.runtime.start("demo", ME)
    assert await bench.says() == "edited"
    assert (await bench.deploys.status("demo")).source == "files"
    await bench.house.runtime.restart("demo", ME, source="deployed")
    assert await bench.says() == "deployed"


@on_bench
async def test_a_stop_between_the_old_version_and_the_new_one_is_the_last_word(bench: Bench) -> None:
    await bench.project(serve="nat", port=free_port())
    await bench.out("1")
    stage, between, go_on = bench.house.runtime.stage, asyncio.Event(), asyncio.Event()
    let_go = stage.let_go

    async def slowly() -> None:
        await let_go()
        between.set()
        await go_on.wait()

    stage.let_go = slowly  # type: ignore[method-assign]
    bench.version("2")
    run = await bench.deploys.run(RunDeploy(project_id="demo", build=True), ME)
    await asyncio.wait_for(between.wait(), 20)
    stopping = asyncio.create_task(bench.house.runtime.stop("demo", ME))
    await eventually(lambda: bench.runs._live[run.run_id].wish is not None)
    go_on.set()
    status = await stopping
    assert (status.state, status.runs) == ("stopped", [])
    assert (await bench.runs.get("demo", run.run_id)).state is RunState.CANCELLED
    assert len(bench.house.keeper._runs) == 0
    assert (await bench.deploys.status("demo")).last.state == "cancelled"  # type: ignore[union-attr]
    stage.let_go = let_go  # type: ignore[method-assign]
    await bench.house.runtime.start("demo", ME)
    assert await bench.says() == "1"


@on_bench
async def test_a_stop_while_the_first_version_is_tried_leaves_nothing_running(bench: Bench) -> None:
    await bench.project(serve="nat", port=free_port())
    bench.version("1", health=503)
    run = await bench.deploys.run(RunDeploy(project_id="demo", build=True, health_retries=5), ME)
    await bench.house.runtime.stop("demo", ME)  # it may be built or tried, or stand between two tries
    assert (await bench.runs.get("demo", run.run_id)).state is RunState.CANCELLED
    assert len(bench.house.keeper._runs) == 0
    with pytest.raises(NotRunning):
        await bench.house.runtime.stop("demo", ME)


@on_bench
async def test_a_stop_of_what_is_brought_out_gives_the_other_project_its_app_back(bench: Bench) -> None:
    await bench.project("one", serve="nat", port=free_port())
    await bench.project("two", serve="nat", port=free_port())
    await bench.out("1", "one")
    bench.version("2", name="two", health=503)
    await bench.deploys.run(RunDeploy(project_id="two", build=True), ME)

    async def trying() -> bool:
        return [one.role for one in (await bench.house.runtime.status("two")).runs] == ["candidate"]

    await eventually(trying)
    with pytest.raises(DeployUnderWay) as refused:
        await bench.house.runtime.start("two", ME)  # what is only tried does not run already
    assert str(refused.value.extra["run_id"]) in refused.value.advice
    assert (await bench.house.runtime.stop("two", ME)).state == "stopped"
    assert (await bench.deploys.history(AskHistory(project_id="two"))).deploys[
        0
    ].reason == "the app was stopped"
    assert await bench.says("one") == "1"


@on_bench
async def test_a_deleted_project_leaves_no_artefact_and_no_process(bench: Bench) -> None:
    await bench.project()
    await bench.out("1")
    await bench.house.projects.delete("demo", ME)
    assert list((bench.house.home / "artefacts").glob("*/*")) == []
    assert len(bench.house.keeper._runs) == 0
    assert bench.house.keeper._sockets == {}


async def all_events(bench: Bench, prefix: str) -> list[object]:
    from att.event.models import ListEvents, Order

    page = await bench.house.events.page(ListEvents(order=Order.OLDEST, limit=1000))
    return [one for one in page.events if one.event_type.startswith(prefix)]
