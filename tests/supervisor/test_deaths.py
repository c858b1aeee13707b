"""What becomes of an app that dies, hangs, grows or changes, by itself or by ours."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from supervisor.errors import (
    StartFailed,
)
from supervisor.report import Exited, Failed, Ready, Restarted, Started, Stopped, Unhealthy
from supervisor.spec import ProbeKind, ProbeSpec, Restart, RestartSpec, Use
from tests.supervisor.house import (
    NEVER_UP,
    QUICK,
    RUNAWAY,
    SLEEPER,
    SLOW,
    UP,
    a_stage,
    alive,
    app,
    killed,
    story,
)
from tests.support import eventually, free_port


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
