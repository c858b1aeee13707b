"""An app under its runner, with real processes, a real keeper and a real log."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from launcher.protocol import kin
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
from supervisor.report import Exited, Failed, Ready, Restarted, Started, Stopped, Unhealthy
from supervisor.spec import ProbeKind, ProbeSpec, Restart, RestartSpec, Use
from tests.supervisor.house import RUNAWAY, SLEEPER, STUBBORN, Stage, a_stage, alive, app, story
from tests.support import eventually, free_port

UP = ProbeSpec(ProbeKind.LOG, pattern="^up$")
NEVER_UP = ProbeSpec(ProbeKind.LOG, pattern="never said")
QUICK = RestartSpec(delays=(0.0, 0.01), jitter=0, intensity=3)
SLOW = RestartSpec(delays=(1000.0,), jitter=0)


async def killed(stage: Stage) -> int:
    """Ends the first process the hard way; its number."""
    pid = await stage.pid()
    os.kill(pid, signal.SIGKILL)
    return pid


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
async def test_a_killed_app_comes_back_at_once_and_its_family_is_gone(tmp_path: Path) -> None:
    async with a_stage(
        tmp_path, app(RUNAWAY + "print('up', flush=True); signal.pause()", probes=(UP,))
    ) as stage:
        first = await stage.runner.start("ready", 10)
        runaway = int((await stage.lines())[0].split()[1])
        await killed(stage)
        await eventually(lambda: len(stage.told(Ready)) == 2)
        assert not alive(runaway)
        second = await stage.runner.status()
        assert second.run_id != first.run_id
        assert second.restarts == 1
        exited, restarted = stage.told(Exited)[0], stage.told(Restarted)[0]
        assert (exited.exit_signal, exited.failure, exited.asked, exited.leftovers) == (9, True, False, 1)
        assert exited.next_start_in == 0
        assert restarted.previous == first.run_id
        assert "SIGKILL" in restarted.reason
        assert stage.names() == ["Started", "Ready", "Exited", "Started", "Restarted", "Ready"]


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
async def test_a_command_that_vanishes_is_tried_again_with_back_off(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nsleep 1000\n")
    tool.chmod(0o755)
    base = app("", restart=QUICK)
    spec = type(base)((str(tool),), base.cwd, base.env, base.log, restart=QUICK)
    async with a_stage(tmp_path, spec) as stage:
        await stage.runner.start("running", 5)
        tool.unlink()
        await killed(stage)
        await eventually(lambda: bool(stage.told(Failed)))
        assert stage.told(Failed)[0].code == "crash_loop"
        assert "no program" in stage.told(Failed)[0].reason


@story
async def test_a_crash_loop_ends_in_failed_which_only_a_person_leaves(tmp_path: Path) -> None:
    async with a_stage(tmp_path, app("raise SystemExit(4)", restart=QUICK)) as stage:
        await stage.runner.start()
        await eventually(lambda: bool(stage.told(Failed)))
        assert stage.told(Failed)[0].code == "crash_loop"
        assert len(stage.told(Started)) == 4
        status = await stage.runner.status()
        assert (status.state, status.exit_code, status.restarts) == ("failed", 4, 3)
        assert "exit status 4" in status.reason
        await stage.runner.replace(app(SLEEPER, probes=(UP,)))
        again = await stage.runner.start("ready", 10)
        assert (again.state, again.restarts, again.reason) == ("running", 0, "")


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
async def test_transient_starts_again_after_a_failure_only(tmp_path: Path) -> None:
    policy = RestartSpec(Restart.TRANSIENT, delays=(0.0,))
    async with a_stage(tmp_path, app("print('done')", restart=policy)) as stage:
        await stage.runner.start()
        await eventually(lambda: bool(stage.told(Stopped)))
        assert not stage.told(Restarted)
    async with a_stage(tmp_path / "b", app(SLEEPER, probes=(UP,), restart=policy)) as stage:
        await stage.runner.start("ready", 10)
        os.kill(await stage.pid(), signal.SIGTERM)  # not asked for: a failure
        await eventually(lambda: bool(stage.told(Restarted)))
        assert stage.told(Exited)[0].failure


@story
async def test_temporary_is_left_as_it_ended(tmp_path: Path) -> None:
    policy = RestartSpec(Restart.TEMPORARY)
    async with a_stage(tmp_path, app("raise SystemExit(0)", restart=policy)) as stage:
        await stage.runner.start()
        await eventually(lambda: bool(stage.told(Stopped)))
        await stage.runner.replace(app("raise SystemExit(1)", restart=policy))
        await stage.runner.start()
        await eventually(lambda: bool(stage.told(Failed)))
        assert stage.told(Failed)[0].code == "run_failed"


@story
async def test_too_slow_a_start_is_ended_and_answered_by_the_policy(tmp_path: Path) -> None:
    spec = app(SLEEPER, probes=(NEVER_UP,), start_timeout=0.1, restart=SLOW)
    async with a_stage(tmp_path, spec) as stage:
        with pytest.raises(StartFailed, match="not up within"):
            await stage.runner.start("running", 10)
        exited = stage.told(Exited)[0]
        assert (exited.failure, exited.asked, exited.next_start_in) == (True, False, 1000)
        assert await stage.state() == "backoff"


@story
async def test_failing_liveness_ends_the_run_failing_readiness_does_not(tmp_path: Path) -> None:
    port = free_port()
    server = (
        "import socket, os, signal\n"
        f"s = socket.create_server(('127.0.0.1', {port}))\n"
        "signal.signal(signal.SIGUSR1, lambda *a: s.close())\n"
        "print('up', flush=True)\n"
        "while True: signal.pause()\n"
    )
    quick = {"period": 0.02, "failure_threshold": 2}
    ready = ProbeSpec(
        ProbeKind.TCP, "door", frozenset({Use.STARTUP, Use.READINESS}), host="127.0.0.1", port=port, **quick
    )
    alive_too = ProbeSpec(
        ProbeKind.TCP, "pulse", frozenset({Use.LIVENESS}), host="127.0.0.1", port=port, **quick
    )
    async with a_stage(tmp_path, app(server, probes=(ready,), restart=SLOW)) as stage:
        await stage.runner.start("ready", 10)
        os.kill(await stage.pid(), signal.SIGUSR1)
        await eventually(lambda: bool(stage.told(Unhealthy)))
        status = await stage.runner.status()
        assert (status.state, status.healthy, status.health_probe) == ("running", False, "door")
        assert "refused" in status.health_reason
    async with a_stage(tmp_path / "b", app(server, probes=(ready, alive_too), restart=SLOW)) as stage:
        await stage.runner.start("ready", 10)
        os.kill(await stage.pid(), signal.SIGUSR1)
        await eventually(lambda: bool(stage.told(Exited)))
        assert "the probe pulse failed" in stage.told(Exited)[0].reason
        assert stage.told(Exited)[0].failure


@story
async def test_above_its_memory_limit_it_is_restarted_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.run.MEMORY_PERIOD", 0.05)
    spec = app("x = bytearray(b'x') * 60_000_000\n" + SLEEPER, probes=(UP,), memory_limit=50_000_000)
    async with a_stage(tmp_path, spec) as stage:
        await stage.runner.start()
        await eventually(lambda: bool(stage.told(Restarted)))
        assert "MiB of memory" in stage.told(Restarted)[0].reason
        assert stage.told(Exited)[0].failure


@story
async def test_a_change_of_a_watched_file_restarts_it_once(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    config = tmp_path / "config.yml"
    config.write_text("a: 1")
    spec = app(SLEEPER, cwd=tmp_path, probes=(UP,), watch=("config.yml", "src/**/*.py"), watch_debounce=0.1)
    async with a_stage(tmp_path / "state", spec) as stage:
        await stage.runner.start("ready", 10)
        number = 0

        async def touched() -> bool:
            """The watch is set up beside the start: so until it has seen one, change it again."""
            nonlocal number
            number += 1
            (tmp_path / "src" / "not.txt").write_text(f"{number}")
            config.write_text(f"a: {number}")
            await asyncio.sleep(0.05)
            return bool(stage.told(Exited))

        await eventually(touched)
        await eventually(lambda: len(stage.told(Ready)) >= 2)
        exited, restarted = stage.told(Exited)[0], stage.told(Restarted)[0]
        assert restarted.reason == "watched files changed: config.yml"
        assert (exited.failure, exited.asked) == (False, True)
        assert (await stage.runner.status()).restarts == 0


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
        await rounds(50)
        await eventually(lambda: no_runs(stage))
        assert (len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())) == before
        assert not list(kin.children(os.getpid()))


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


async def is_state(stage: Stage, state: str) -> bool:
    return await stage.state() == state


async def no_runs(stage: Stage) -> bool:
    return await stage.keeper.runs() == ()
