"""An app under its runner, with real processes, a real keeper and a real log."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from launcher.protocol import kin
from supervisor.report import Exited, Failed, Ready
from supervisor.spec import ProbeKind, ProbeSpec, Restart, RestartSpec
from tests.supervisor.house import (
    RUNAWAY,
    SLEEPER,
    STUBBORN,
    UP,
    a_stage,
    alive,
    app,
    killed,
    no_runs,
    story,
)
from tests.support import eventually


@story
async def test_an_app_is_started_is_ready_and_is_stopped(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(UP,), host="127.0.0.1", port=8000)) as stage:
        status = await stage.runner.start("ready", 10)
        assert (status.state, status.healthy, status.host, status.port) == (
            "running",
            True,
            "127.0.0.1",
            8000,
        )
        assert alive(status.pid)
        assert status.runs[0].run_id == status.run_id
        report = await stage.runner.stop()
        assert (report.exit_code, report.exit_signal, report.forced, report.leftovers) == (None, 15, False, 0)
        assert stage.names() == ["Started", "Ready", "Exited", "Stopped"]
        exited = stage.told(Exited)[0]
        assert exited.asked
        assert not exited.failure
        assert await stage.lines(status.run_id) == ["up"]
        after = await stage.runner.status()
        assert (after.state, after.pid, after.exit_signal, after.healthy) == ("stopped", None, 15, None)
        assert not alive(status.pid)


@story
async def test_figures_are_those_of_the_whole_tree(tmp_path: Path) -> None:
    async with a_stage(
        tmp_path, app(RUNAWAY + "print('up', flush=True); signal.pause()", probes=(UP,))
    ) as stage:
        await stage.runner.start("ready", 10)
        status = await stage.runner.status()
        assert status.processes == 2
        assert status.rss_bytes > 5_000_000
        assert status.open_files >= 6
        assert status.threads == 2
        assert status.cpu_percent is not None
        assert (await stage.runner.status(figures=False)).processes is None


@story
async def test_one_who_ignores_the_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(STUBBORN, probes=(UP,), stop_grace=0.2)) as stage:
        await stage.runner.start("ready", 10)
        report = await stage.runner.stop()
        assert report.forced
        assert report.exit_signal == signal.SIGKILL
        assert 0.2 <= report.took < 5
        assert stage.told(Exited)[0].forced
        assert not stage.told(Exited)[0].failure


@story
async def test_a_stopped_process_can_be_stopped(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(UP,))) as stage:
        pid = (await stage.runner.start("ready", 10)).pid
        os.kill(pid, signal.SIGSTOP)
        report = await asyncio.wait_for(stage.runner.stop(), 5)
        assert (report.forced, report.exit_signal) == (False, 15)


@story
async def test_a_stop_ends_and_reports_what_double_forked(tmp_path: Path) -> None:
    async with a_stage(
        tmp_path, app(RUNAWAY + "print('up', flush=True); signal.pause()", probes=(UP,))
    ) as stage:
        await stage.runner.start("ready", 10)
        runaway = int((await stage.lines())[0].split()[1])
        assert (await stage.runner.stop()).leftovers == 1
        assert not alive(runaway)


@story
async def test_its_last_words_are_in_the_log_when_its_end_is_told(tmp_path: Path) -> None:
    spec = app(
        "print('bye\\n' * 20000 + 'last'); raise SystemExit(3)", restart=RestartSpec(Restart.TEMPORARY)
    )
    async with a_stage(tmp_path, spec) as stage:
        told: list[str] = []
        stage.runner._owner._teller._on_event = lambda event: (
            told.append(stage.log.newest) if isinstance(event, Failed) else None
        )
        await stage.runner.start()
        await eventually(lambda: bool(told))
        page = await stage.log.page(None, 1)
        assert page.lines[0].text == "last"
        assert not (await stage.log.page(told[0], 1)).lines


@story
async def test_its_private_tmp_is_empty_before_and_gone_after(tmp_path: Path) -> None:
    private = tmp_path / "tmp"
    private.mkdir()
    (private / "old-secret").write_text("x")
    program = (
        f"import os; print(os.listdir({str(private)!r}), oct(os.stat({str(private)!r}).st_mode & 0o777))\n"
    )
    program += f"open({str(private / 'new-secret')!r}, 'w').write('s3cr3t')\n"
    async with a_stage(
        tmp_path / "state", app(program + SLEEPER, probes=(UP,), private_tmp=private)
    ) as stage:
        await stage.runner.start("ready", 10)
        assert (await stage.lines())[0] == "[] 0o700"
        assert (private / "new-secret").exists()
        await killed(stage)
        await eventually(lambda: len(stage.told(Ready)) == 2)
        assert (await stage.lines())[2] == "[] 0o700"
        await stage.runner.stop()
        assert os.listdir(tmp_path) == ["state"]


@story
async def test_an_exit_is_acknowledged_only_when_it_has_been_noted(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(UP,))) as stage:
        noted = asyncio.get_running_loop().create_future()
        stage.runner._owner._teller._on_event = lambda event: (
            noted if isinstance(event, Exited) else stage.events.append(event)
        )
        await stage.runner.start("ready", 10)
        await stage.runner.stop()
        assert len(await stage.keeper.runs()) == 1
        noted.set_result(None)
        await eventually(lambda: no_runs(stage))


@story
async def test_a_listener_that_breaks_stops_nothing(tmp_path: Path) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with a_stage(tmp_path, app(SLEEPER, probes=(UP,))) as stage:

        def broken(event: object) -> None:
            raise ValueError("no")

        stage.runner._owner._teller._on_event = broken
        await stage.runner.start("ready", 10)
        await stage.runner.stop()
        assert len(complaints) == 4


@story
async def test_fifty_rounds_leave_no_descriptor_task_or_process(tmp_path: Path) -> None:
    spec = app(
        RUNAWAY + "print('up', flush=True); signal.pause()", probes=(UP,), private_tmp=tmp_path / "tmp"
    )
    async with a_stage(tmp_path, spec) as stage:

        async def rounds(count: int) -> None:
            for _ in range(count):
                await stage.runner.start("ready", 10)
                await stage.runner.stop()

        await rounds(2)
        await eventually(lambda: no_runs(stage))
        before = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
        children = set(kin.children(os.getpid()))
        await rounds(50)
        await eventually(lambda: no_runs(stage))
        assert (len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())) == before
        assert set(kin.children(os.getpid())) <= children


@pytest.mark.slow
@story
async def test_an_idle_app_costs_nothing(tmp_path: Path) -> None:
    spec = app(SLEEPER, probes=(UP, ProbeSpec(ProbeKind.PROCESS)), memory_limit=1 << 30)
    async with a_stage(tmp_path, spec) as stage:
        await stage.runner.start("ready", 10)
        await stage.runner.status()
        begun, used = time.monotonic(), time.process_time()
        await asyncio.sleep(3)  # it is the idling that is measured
        share = (time.process_time() - used) / (time.monotonic() - begun)
        assert share < 0.005
