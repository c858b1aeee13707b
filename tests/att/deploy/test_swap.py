"""Two versions at once on one socket: no request fails, and a version that is not healthy gets none."""

from __future__ import annotations

import asyncio

from att.workflow.states import RunState
from tests.att.deploy.house import Bench, Load, on_bench
from tests.att.runtime.house import ME
from tests.att.runtime.test_service import alive


@on_bench
async def test_five_swaps_under_load_fail_no_request(bench: Bench) -> None:
    await bench.project()
    assert (await bench.out("1")).state is RunState.SUCCEEDED
    port = (await bench.house.runtime.status("demo")).port or 0
    with Load(port) as load:
        for number in range(2, 7):
            await load.more()
            before = await bench.pids()
            run = await bench.out(str(number))
            assert run.state is RunState.SUCCEEDED, run.problem
            await load.more()
            assert not any(alive(pid) for pid in before)
            assert load.answers[-1] == str(number)
    assert load.failures == []
    assert set(load.answers) == {"1", "2", "3", "4", "5", "6"}
    order = list(map(int, (await asyncio.to_thread(bench.asked().read_text)).split()))
    assert order[0] == 1
    assert order[-1] == 6
    assert len(bench.house.keeper._runs) == 1


@on_bench
async def test_a_version_that_never_gets_healthy_gets_no_request(bench: Bench) -> None:
    await bench.project()
    await bench.out("good")
    status = await bench.house.runtime.status("demo")
    with Load(status.port or 0) as load:
        await load.more()
        bench.version("bad", health=503)
        run = await bench.deploy(build=True, health_timeout=1.5)
        await load.more()
    assert run.state is RunState.FAILED
    assert run.problem is not None
    assert (run.problem["code"], run.problem["rolled_back"]) == ("deploy_failed", True)
    assert "503" in run.problem["detail"]
    assert (load.failures, set(load.answers)) == ([], {"good"})
    assert set((await asyncio.to_thread(bench.asked().read_text)).split()) == {"good"}
    now = await bench.house.runtime.status("demo")
    assert (now.run_id, now.pid, now.state) == (status.run_id, status.pid, "running")
    assert [event.payload["code"] for event in await bench.house.told("deploy.failed")] == ["deploy_failed"]
    assert len(await bench.house.told("deploy.rolled_back")) == 1


@on_bench
async def test_a_version_that_dies_at_its_start_leaves_the_one_before_alone(bench: Bench) -> None:
    await bench.project()
    await bench.out("good")
    pids = await bench.pids()
    bench.version("bad", dies=True)
    run = await bench.deploy(build=True, health_retries=1)
    assert run.state is RunState.FAILED
    assert run.problem is not None
    assert "it cannot begin" in str(run.problem)
    assert await bench.pids() == pids
    assert await bench.says() == "good"
    assert len(await bench.house.told("runtime.started")) == 3  # the good one, and two tries


@on_bench
async def test_a_stop_while_a_version_is_tried_is_the_last_word(bench: Bench) -> None:
    from att.deploy.models import RunDeploy
    from tests.support import eventually

    await bench.project()
    await bench.out("good")
    bench.version("slow", health=503)
    run = await bench.deploys.run(RunDeploy(project_id="demo", build=True), ME)

    async def both() -> bool:
        return len(await bench.pids()) == 2

    await eventually(both)
    roles = {one.role for one in (await bench.house.runtime.status("demo")).runs}
    assert roles == {"current", "candidate"}
    await bench.house.runtime.stop("demo", ME)
    assert (await bench.runs.get("demo", run.run_id)).state is RunState.CANCELLED
    status = await bench.house.runtime.status("demo")
    assert (status.state, status.runs) == ("stopped", [])
    assert (await bench.deploys.status("demo")).last is not None
    assert len(bench.house.keeper._runs) == 0
