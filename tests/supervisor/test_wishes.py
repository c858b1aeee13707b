"""Start, stop and restart, whatever is going on already."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from supervisor.errors import (
    AlreadyRunning,
    CommandNotExecutable,
    CommandNotFound,
    NotRunning,
    RunnerClosed,
    StartCancelled,
    StartFailed,
    WaitTimedOut,
    WorkingDirectoryMissing,
)
from supervisor.report import Exited, Ready, Restarted, Started, Stopped
from tests.supervisor.house import (
    NEVER_UP,
    SLEEPER,
    SLOW,
    STUBBORN,
    UP,
    a_stage,
    alive,
    app,
    is_state,
    killed,
    story,
)
from tests.support import eventually


@story
async def test_a_second_start_and_a_stop_of_nothing_are_refused(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER)) as stage:
        with pytest.raises(NotRunning):
            await stage.runner.stop()
        await stage.runner.start("ready", 5)
        with pytest.raises(AlreadyRunning):
            await stage.runner.start()
        assert len(stage.told(Started)) == 1


@story
async def test_a_process_that_cannot_be_made_is_told_to_who_asked(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER)) as stage:
        cases = [
            (("surely-not-there",), Path("/"), CommandNotFound),
            (("/etc/passwd",), Path("/"), CommandNotExecutable),
            (("true",), tmp_path / "gone", WorkingDirectoryMissing),
        ]
        for command, cwd, error in cases:
            spec = app("", cwd=cwd)
            await stage.runner.replace(type(spec)(command, cwd, spec.env, spec.log))
            with pytest.raises(error):
                await stage.runner.start("ready", 5)
            assert await stage.state() == "failed"
            assert stage.events[-1].code == error.code
        await stage.runner.replace(app(SLEEPER, probes=(UP,)))
        assert (await stage.runner.start("ready", 10)).state == "running"


@story
async def test_a_start_that_is_waited_for_hears_of_the_first_death(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app("raise SystemExit(4)", probes=(UP,), restart=SLOW)) as stage:
        with pytest.raises(StartFailed, match="exit status 4") as failed:
            await stage.runner.start("ready", 10)
        assert failed.value.exit_code == 4
        assert await stage.state() == "backoff"
        assert (await stage.runner.status()).backoff_until is not None


@story
async def test_stop_during_back_off_is_at_once_and_for_good(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app("raise SystemExit(4)", restart=SLOW)) as stage:
        await stage.runner.start()
        await eventually(lambda: bool(stage.told(Exited)))
        report = await stage.runner.stop()
        assert report.leftovers == 0
        assert await stage.state() == "stopped"
        assert (await stage.runner.status()).backoff_until is None
        assert len(stage.told(Started)) == 1


@story
async def test_start_during_back_off_does_not_wait(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app("raise SystemExit(4)", restart=SLOW)) as stage:
        await stage.runner.start()
        await eventually(lambda: bool(stage.told(Exited)))
        await stage.runner.replace(app(SLEEPER, probes=(UP,)))
        assert (await stage.runner.start("ready", 10)).restarts == 0
        assert not stage.told(Restarted)


@story
async def test_stop_during_the_start_ends_it_and_its_waiting(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(NEVER_UP,))) as stage:
        starting = asyncio.create_task(stage.runner.start("ready", 20))
        await eventually(lambda: bool(stage.told(Started)))
        assert await stage.state() == "starting"
        await stage.runner.stop()
        with pytest.raises(StartCancelled):
            await starting
        assert await stage.state() == "stopped"
        assert not stage.told(Ready)


@story
async def test_a_wait_that_is_cancelled_or_times_out_undoes_nothing(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(NEVER_UP,))) as stage:
        starting = asyncio.create_task(stage.runner.start("ready", 20))
        await eventually(lambda: bool(stage.told(Started)))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert await stage.state() == "starting"
        with pytest.raises(WaitTimedOut):
            await stage.runner.restart("ready", 0.2)
        await eventually(lambda: len(stage.told(Started)) == 2)
        assert await stage.state() == "starting"


@story
async def test_a_start_that_is_cancelled_before_it_is_heard_never_happens(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER)) as stage:
        starting = asyncio.create_task(stage.runner.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        with pytest.raises(NotRunning):
            await stage.runner.stop()
        assert stage.events == []


@story
async def test_restart_during_a_stop_starts_again_once_it_is_gone(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(STUBBORN, probes=(UP,), stop_grace=0.2)) as stage:
        first = await stage.runner.start("ready", 10)
        stopping = asyncio.create_task(stage.runner.stop())
        await eventually(lambda: is_state(stage, "stopping"))
        second = await stage.runner.restart("ready", 10)
        assert (await stopping).run_id == first.run_id
        assert second.run_id != first.run_id
        assert second.state == "running"
        assert not alive(first.pid)


@story
async def test_start_during_a_stop_starts_again_once_it_is_gone(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(STUBBORN, probes=(UP,), stop_grace=0.2)) as stage:
        first = await stage.runner.start("ready", 10)
        stopping = asyncio.create_task(stage.runner.stop())
        await eventually(lambda: is_state(stage, "stopping"))
        second = await stage.runner.start("ready", 10)
        assert (await stopping).forced
        assert second.run_id != first.run_id


@story
async def test_stop_during_a_restart_is_the_last_word(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(STUBBORN, probes=(UP,), stop_grace=0.2)) as stage:
        await stage.runner.start("ready", 10)
        restarting = asyncio.create_task(stage.runner.restart("ready", 10))
        await eventually(lambda: is_state(stage, "stopping"))
        await stage.runner.stop()
        with pytest.raises(StartCancelled):
            await restarting
        assert await stage.state() == "stopped"
        assert len(stage.told(Started)) == 1


@story
async def test_two_stops_hear_the_same_end(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(UP,))) as stage:
        await stage.runner.start("ready", 10)
        one, two = await asyncio.gather(stage.runner.stop(), stage.runner.stop())
        assert one.run_id == two.run_id
        assert len(stage.told(Stopped)) == 1


@story
async def test_an_exit_while_stopping_is_the_end_of_the_stop(tmp_path: Path) -> None:
    """It is killed by somebody else while its grace runs: no failure, no restart."""
    async with a_stage(tmp_path, app(STUBBORN, probes=(UP,), stop_grace=30)) as stage:
        await stage.runner.start("ready", 10)
        stopping = asyncio.create_task(stage.runner.stop())
        await eventually(lambda: is_state(stage, "stopping"))
        await killed(stage)
        report = await asyncio.wait_for(stopping, 5)
        assert not report.forced
        assert not stage.told(Exited)[0].failure
        assert await stage.state() == "stopped"


@story
async def test_a_restart_when_nothing_runs_is_a_start(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(UP,))) as stage:
        assert (await stage.runner.restart("ready", 10)).state == "running"
        assert stage.names() == ["Started", "Ready"]


@story
async def test_a_restart_asked_for_is_no_failure_and_counts_as_none(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(UP,))) as stage:
        first = await stage.runner.start("ready", 10)
        second = await stage.runner.restart("ready", 10)
        assert second.restarts == 0
        exited, restarted = stage.told(Exited)[0], stage.told(Restarted)[0]
        assert (exited.asked, exited.failure) == (True, False)
        assert (restarted.previous, restarted.run_id) == (first.run_id, second.run_id)


@story
async def test_closing_stops_what_runs_and_refuses_the_rest(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app(SLEEPER, probes=(NEVER_UP,))) as stage:
        waiting = asyncio.create_task(stage.runner.start("ready", 20))
        await eventually(lambda: bool(stage.told(Started)))
        pid = await stage.pid()
        await stage.runner.aclose()
        with pytest.raises(StartCancelled):
            await waiting
        assert not alive(pid)
        with pytest.raises(RunnerClosed):
            await stage.runner.start()
        await stage.runner.aclose()
