"""A deploy that is cut off late, or whose project is deleted: the records say what is, and nothing is left."""

from __future__ import annotations

import asyncio

import pytest

from att.deploy.errors import NoPreviousVersion
from att.deploy.models import RunDeploy
from att.problems import ProjectNotFound
from att.project.models import Project
from att.runtime.errors import SafeMode
from att.workflow.states import RunState
from tests.att.deploy.house import Bench, on_bench
from tests.att.runtime.house import ME
from tests.support import eventually, free_port


def nothing_left(bench: Bench) -> bool:
    return not bench.house.keeper._runs and not bench.house.keeper._sockets


@on_bench
async def test_a_project_that_is_being_deleted_is_not_started(bench: Bench) -> None:
    await bench.project()
    await bench.out("1")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Project) -> None:
        reached.set()
        await go_on.wait()

    bench.house.projects.before_delete.append(slow)
    deleting = asyncio.create_task(bench.house.projects.delete("demo", ME))
    await reached.wait()
    for wish in (
        bench.house.runtime.start("demo", ME, wait="none"),
        bench.house.runtime.restart("demo", ME, wait="none"),
        bench.deploys.run(RunDeploy(project_id="demo"), ME),
        bench.house.projects.delete("demo", ME),
    ):
        with pytest.raises(ProjectNotFound):
            await wish
    go_on.set()
    await deleting
    assert nothing_left(bench)


@on_bench
async def test_a_start_that_waits_for_a_deletion_does_not_start_what_is_gone(bench: Bench) -> None:
    await bench.project()
    await bench.out("1")
    await bench.house.runtime.stop("demo", ME)
    lock = bench.house.runtime.stage.lock
    async with lock:
        starting = asyncio.create_task(bench.house.runtime.start("demo", ME, wait="none"))
        await eventually(lambda: lock._waiters)
        deleting = asyncio.create_task(bench.house.projects.delete("demo", ME))
        await asyncio.sleep(0)
    with pytest.raises(ProjectNotFound):
        await starting
    await deleting
    assert nothing_left(bench)


@on_bench
async def test_a_hook_that_refuses_gives_the_project_back(bench: Bench) -> None:
    await bench.project()

    async def refuse(_: Project) -> None:
        raise ProjectNotFound("not now")

    bench.house.projects.before_delete.append(refuse)
    with pytest.raises(ProjectNotFound):
        await bench.house.projects.delete("demo", ME)
    assert (await bench.house.projects.get("demo")).id == "demo"


@pytest.mark.parametrize("serve", ["socket", "nat"])
def test_a_project_deleted_under_its_deploy_leaves_nothing(tmp_path, serve: str) -> None:  # type: ignore[no-untyped-def]
    @on_bench
    async def deleted(bench: Bench) -> None:
        await bench.project(serve=serve, port=free_port())
        await bench.out("1")
        bench.version("2", health=503)
        await bench.deploys.run(RunDeploy(project_id="demo", build=True, health_retries=5), ME)

        async def trying() -> bool:
            found = (await bench.house.runtime.status("demo")).runs
            return "candidate" in [one.role for one in found]

        await eventually(trying)
        await bench.house.projects.delete("demo", ME)
        assert nothing_left(bench)
        assert list((bench.house.home / "artefacts").glob("*/*")) == []
        assert bench.house.runtime.stage.all() == []
        assert bench.house.runtime.stage.deploying is None

    deleted(tmp_path)


@pytest.mark.parametrize("serve", ["socket", "nat"])
def test_a_cancel_that_comes_after_the_switch_does_not_deny_it(tmp_path, serve: str) -> None:  # type: ignore[no-untyped-def]
    """At any moment: what the store names is what runs and what the record says."""

    @on_bench
    async def cancelled(bench: Bench) -> None:
        await bench.project(serve=serve, port=free_port())
        await bench.out("1")
        bench.version("2")
        switch, reached = bench.deploys._runtime.switch, asyncio.Event()
        run = await bench.deploys.run(RunDeploy(project_id="demo", build=True), ME)
        store = bench.house.runtime._store
        write = store.write

        async def held(work):  # type: ignore[no-untyped-def]
            done = await write(work)
            if "promote" in getattr(work, "__qualname__", ""):
                reached.set()
                await eventually(lambda: bench.runs._live[run.run_id].wish)
            return done

        switch._store = type("Held", (), {"write": staticmethod(held), "read": store.read})()  # type: ignore[assignment]
        await asyncio.wait_for(reached.wait(), 30)
        ended = await bench.runs.cancel("demo", run.run_id, ME, wait=30)
        assert ended.state is RunState.CANCELLED
        status = await bench.deploys.status("demo")
        assert status.last is not None
        assert status.running == status.artefact_id == status.last.artefact_id
        assert status.last.state == "succeeded"
        assert await bench.says() == "2"
        assert len(await bench.pids()) == 1

    cancelled(tmp_path)


@on_bench
async def test_in_safe_mode_no_deploy_goes_on(bench: Bench) -> None:
    await bench.project()
    await bench.out("1")
    await bench.house.runtime.stop("demo", ME)
    bench.version("2")
    await bench.build()
    runtime = bench.house.runtime

    async def allow(_: str) -> None: ...

    bench.deploys._refuse = allow  # type: ignore[method-assign]  # it was begun in a life before
    runtime.situation = runtime.situation._replace(safe=True)
    run = await bench.deploy()
    assert run.state is RunState.FAILED
    assert run.problem is not None
    assert run.problem["code"] == SafeMode.code
    assert (await runtime.status("demo")).state == "stopped"


@on_bench
async def test_a_failed_deploy_that_is_resumed_and_comes_out_well_is_noted_so(bench: Bench) -> None:
    folder = await bench.project()
    await bench.out("1")
    # healthy only when the file is there: outside of the artefact
    flag = bench.house.home / "flag"
    bench.version("2")
    server = folder / "server.py"
    server.write_text(
        f"import pathlib\nif not pathlib.Path({str(flag)!r}).exists():\n    raise RuntimeError('not yet')\n"
        + server.read_text()
    )
    run = await bench.deploy(build=True)
    assert run.state is RunState.FAILED
    assert (await bench.deploys.status("demo")).last.state == "rolled_back"  # type: ignore[union-attr]
    flag.touch()
    again = await bench.runs.resume("demo", run.run_id, ME, wait=40)
    assert again.state is RunState.SUCCEEDED, again.problem
    status = await bench.deploys.status("demo")
    assert status.last is not None
    assert (status.last.state, status.last.reason) == ("succeeded", None)
    assert status.running == status.last.artefact_id
    assert await bench.says() == "2"


@on_bench
async def test_a_stop_ends_also_an_older_deploy_that_was_resumed(bench: Bench) -> None:
    await bench.project()
    await bench.out("1")
    bench.version("2", health=500)
    old = await bench.deploy(build=True, health_timeout=0.3)
    assert old.state is RunState.FAILED
    await bench.out("3")
    await bench.runs.resume("demo", old.run_id, ME)
    assert (await bench.deploys.status("demo")).under_way == old.run_id
    await bench.house.runtime.stop("demo", ME)
    assert (await bench.runs.get("demo", old.run_id)).state is RunState.CANCELLED
    assert (await bench.house.runtime.status("demo")).state == "stopped"


@on_bench
async def test_a_second_rollback_goes_on_backwards(bench: Bench) -> None:
    """Else it would bring the version out again that was rolled back from."""
    await bench.project()
    made = [await bench.out(version) for version in ("1", "2", "3")]
    ids = [run.result["artefact_id"] for run in made if run.result]
    said, before = [], []
    for _ in range(2):
        before.append((await bench.deploys.status("demo")).previous)
        assert (await bench.back()).state is RunState.SUCCEEDED
        said.append(await bench.says())
    assert (said, before) == (["2", "1"], [ids[1], ids[0]])
    with pytest.raises(NoPreviousVersion):
        await bench.back()
    back = await bench.back(artefact_id=ids[2])  # by name, any that was healthy
    assert back.state is RunState.SUCCEEDED
    assert (await bench.deploys.status("demo")).previous == ids[0]
