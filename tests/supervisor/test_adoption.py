"""Another life of the daemon takes an app over from the one before: the run goes on, and nothing of its past is forgotten."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from supervisor.errors import RunnerClosed
from supervisor.local import LocalKeeper
from supervisor.logs.log import Log
from supervisor.report import Exited, Living, Restarted, Started, Waiting
from supervisor.restart import Again, Cause, Death, GiveUp, Memory, Restarts
from supervisor.runner import Runner
from supervisor.spec import AppSpec, ProbeKind, ProbeSpec, RestartSpec
from tests.supervisor.house import QUICK, SLEEPER, UP, Stage, alive, app, is_state, killed, no_runs, story
from tests.support import eventually


@asynccontextmanager
async def two_lives(folder: Path) -> Any:
    """A keeper and a log that outlive the runners which are opened here."""
    log = Log.open("demo", folder / "log")
    keeper = LocalKeeper(f"home-{uuid4().hex}", lambda _: log)
    opened: list[Runner] = []

    def life(spec: AppSpec, found: Living | Waiting | None = None) -> Stage:
        events: list[Any] = []
        if found is None:
            runner = Runner.open(spec, keeper, log, events.append)
        else:
            runner = Runner.adopt(spec, keeper, log, events.append, found)
        opened.append(runner)
        return Stage(runner, keeper, log, events)

    try:
        yield life
    finally:
        await opened[-1].aclose()
        await keeper.aclose()
        await asyncio.to_thread(log.close)


async def living(stage: Stage, restarts: int = 0, ready: bool = True) -> Living:
    now = await stage.runner.status(figures=False)
    assert now.run_id and now.pid and now.started_at and now.log_cursor
    return Living(
        now.run_id,
        now.pid,
        now.started_at,
        now.ready_at if ready else None,
        restarts,
        stage.runner.memory,
        "oldest",
    )


@story
async def test_a_run_goes_on_in_the_next_life(tmp_path: Path) -> None:
    spec = app(SLEEPER, probes=(UP,))
    async with two_lives(tmp_path) as life:
        first = life(spec)
        await first.runner.start(wait="ready")
        found = await living(first)
        await first.runner.detach()
        assert alive(found.pid)
        second = life(spec, found)
        now = await second.runner.status()
        assert (now.state.value, now.pid, now.run_id, now.healthy) == (
            "running",
            found.pid,
            found.run_id,
            True,
        )
        assert (now.started_at, now.ready_at) == (found.started_at, found.ready_at)
        assert now.processes == 1
        assert second.told(Started) == []
        report = await second.runner.stop()
        assert report.exit_signal == signal.SIGTERM
        assert not alive(found.pid)


@story
async def test_who_waits_when_the_life_ends_is_told(tmp_path: Path) -> None:
    async with two_lives(tmp_path) as life:
        first = life(app(SLEEPER, probes=(ProbeSpec(ProbeKind.LOG, pattern="never"),)))
        waiting = asyncio.create_task(first.runner.start(wait="ready"))
        await eventually(lambda: first.told(Started))
        await first.runner.detach()
        with pytest.raises(RunnerClosed):
            await waiting
        life(app(SLEEPER), await living(first, ready=False))


@story
async def test_a_start_that_was_under_way_comes_to_its_end_in_the_next_life(tmp_path: Path) -> None:
    spec = app("import sys\nsys.stdin\nprint('up', flush=True)\n" + SLEEPER, probes=(UP,))
    async with two_lives(tmp_path) as life:
        first = life(spec)
        await first.runner.start()
        found = await living(first, ready=False)
        await first.runner.detach()
        second = life(spec, found)
        assert await second.state() == "starting"
        await eventually(lambda: is_state(second, "running"))
        assert second.names() == ["Ready"]


@story
async def test_a_death_between_two_lives_is_answered_by_the_second(tmp_path: Path) -> None:
    spec = app(SLEEPER, probes=(UP,), restart=QUICK)
    async with two_lives(tmp_path) as life:
        first = life(spec)
        await first.runner.start(wait="ready")
        found = await living(first, restarts=2)
        await first.runner.detach()
        os.kill(found.pid, signal.SIGKILL)
        await eventually(lambda: not alive(found.pid))
        second = life(spec, found)
        await eventually(lambda: second.told(Restarted))
        [ended] = second.told(Exited)
        assert (ended.run_id, ended.exit_signal, ended.failure) == (found.run_id, signal.SIGKILL, True)
        assert second.told(Restarted)[0].restarts == 3
        assert await second.pid() != found.pid
        await eventually(lambda: is_state(second, "running"))


@story
async def test_deaths_of_the_life_before_count(tmp_path: Path) -> None:
    spec = app(SLEEPER, probes=(UP,), restart=QUICK)
    async with two_lives(tmp_path) as life:
        first = life(spec)
        await first.runner.start(wait="ready")
        for n in range(3):
            await killed(first)
            await eventually(lambda n=n: len(first.told(Restarted)) == n + 1)
        await eventually(lambda: is_state(first, "running"))
        assert first.runner.memory.in_a_row == 3
        found = await living(first, restarts=3)
        await first.runner.detach()
        second = life(spec, found)
        await killed(second)
        await eventually(lambda: is_state(second, "failed"))
        assert "4 times" in (await second.runner.status()).reason


@story
async def test_a_wait_for_the_next_start_goes_on_in_the_next_life(tmp_path: Path) -> None:
    spec = app(SLEEPER, probes=(UP,), restart=QUICK)
    now = datetime.now(UTC)
    ended = Exited("run-0", now, 3, None, False, True, False, 0, "it left with exit status 3", 0.2)
    async with two_lives(tmp_path) as life:
        due = now + timedelta(seconds=0.2)
        second = life(spec, Waiting(ended, 4, Memory((1.0,), 1, 0), due))
        status = await second.runner.status()
        assert (status.state.value, status.backoff_until, status.restarts) == ("backoff", due, 4)
        assert status.reason == "it left with exit status 3"
        await eventually(lambda: second.told(Restarted))
        [again] = second.told(Restarted)
        assert (again.previous, again.restarts) == ("run-0", 5)
        assert datetime.now(UTC) >= due


@story
async def test_a_memory_limit_is_minded_in_the_next_life(tmp_path: Path) -> None:
    async with two_lives(tmp_path) as life:
        first = life(app(SLEEPER, probes=(UP,)))
        await first.runner.start(wait="ready")
        found = await living(first)
        await first.runner.detach()
        strict = app(SLEEPER, probes=(UP,), memory_limit=1, restart=RestartSpec(delays=(1000.0,)))
        second = life(strict, found)
        await eventually(lambda: second.told(Exited))
        assert "above its limit" in second.told(Exited)[0].reason
        await second.runner.stop()
        await eventually(lambda: no_runs(second))


def test_a_memory_handed_on_answers_as_the_one_it_came_from() -> None:
    spec = RestartSpec(delays=(0.0, 1.0, 2.0), jitter=0, intensity=3, period=100)
    death = Death(Cause.EXIT, 1, None, 1.0)
    one = Restarts(spec)
    for n in range(2):
        one.answer(death, 50.0 + n, 0.0)
    two = Restarts(spec)
    two.recall(one.memory(60.0), 1060.0)  # another clock
    assert one.answer(death, 61.0, 0.0) == two.answer(death, 1061.0, 0.0) == Again(2.0)
    assert isinstance(two.answer(death, 1062.0, 0.0), GiveUp)
    assert isinstance(one.answer(death, 62.0, 0.0), GiveUp)
