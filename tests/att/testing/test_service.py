"""Runs of tests as long work: their results by page, their events, their end by word, by deletion and by the daemon's death."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from att import shortrun
from att.confine_errors import PathOutsideProject
from att.problems import BadCursor, Problem, ProjectNotFound
from att.runtime.errors import EnvironmentBroken, EnvironmentNotBuilt, SecretMissing
from att.testing.errors import (
    InvalidTestSettings,
    NoTestResults,
    PytestNotInstalled,
    SelectionNotSupported,
    TestCommandNotFound,
    TestPathNotFound,
)
from att.testing.models import ReadResults, RunTests, TestResults
from att.workflow.errors import RunBusy, RunNotFound
from att.workflow.models import Run
from tests.att.testing.bench import ME, Bench, bench, environment
from tests.support import eventually

MIXED = "def test_good(): pass\ndef test_bad(): assert 0, 'no'\ndef test_worse(): raise OSError('gone')\n"
SLOW = "import time\ndef test_good(): pass\ndef test_slow(): time.sleep(600)\n"


def at_a_bench(test: Callable[[Bench], Awaitable[None]]) -> Callable[[Path], None]:
    @wraps(test)
    def run(tmp_path: Path) -> None:
        async def whole() -> None:
            async with bench(tmp_path / "home") as there:
                await test(there)

        asyncio.run(whole())

    del run.__wrapped__  # type: ignore[attr-defined]
    return run


async def begin(bench: Bench, project: str, wait: float = 60, **ask: Any) -> Run:
    return await bench.testing.begin(RunTests(project_id=project, wait=wait, **ask), ME)


async def results(bench: Bench, project: str, **ask: Any) -> TestResults:
    return await bench.testing.results(ReadResults(project_id=project, **ask))


@at_a_bench
async def test_a_run_whose_tests_fail_has_failed_and_says_which(bench: Bench) -> None:
    project = await bench.project("app", tests__test_a=MIXED)
    run = await begin(bench, project)
    assert run.state == "failed" and run.problem is not None
    assert run.problem["code"] == "tests_failed" and run.problem["result"]["counts"]["failed"] == 2
    assert run.problem["tests"] == ["tests/test_a.py::test_bad", "tests/test_a.py::test_worse"]
    (began,), (failed,) = await bench.house.told("test.run"), await bench.house.told("test.failed")
    assert began.payload["run_id"] == failed.payload["run_id"] == run.run_id
    assert (failed.actor, failed.outcome, failed.payload["counts"]["total"]) == ("tester", "failed", 3)


@at_a_bench
async def test_results_come_in_pages_the_failed_first(bench: Bench) -> None:
    project = await bench.project("app", tests__test_a=MIXED)
    with pytest.raises(NoTestResults):
        await results(bench, project)
    run = await begin(bench, project)
    first = await results(bench, project, limit=2)
    assert (first.run_id, first.status, len(first.tests), first.next_cursor) == (run.run_id, "failed", 2, "2")
    assert [failure.message for failure in first.failures] == [
        "AssertionError: no\nassert 0",
        "OSError: gone",
    ]
    rest = await results(bench, project, limit=2, cursor=first.next_cursor)
    assert [case.outcome for case in rest.tests] == ["passed"] and rest.next_cursor is None
    assert rest.failures == [] and rest.counts == first.counts
    only = await results(bench, project, failed=True, run_id=run.run_id)
    assert len(only.tests) == len(only.failures) == 2
    with pytest.raises(BadCursor):
        await results(bench, project, cursor="99")
    with pytest.raises(RunNotFound):
        await results(bench, project, run_id="none")


@at_a_bench
async def test_no_tests_are_a_success_and_a_good_run_is_told(bench: Bench) -> None:
    empty = await bench.project("empty")
    run = await begin(bench, empty)
    assert run.state == "succeeded" and run.result is not None and run.result["status"] == "empty"
    assert run.result["counts"]["total"] == 0
    good = await bench.project("good", tests__test_a="def test_a(): pass\n")
    assert (await begin(bench, good)).state == "succeeded"
    assert [event.project_id for event in await bench.house.told("test.passed")] == ["empty", "good"]


@at_a_bench
async def test_a_run_is_seen_while_it_runs_and_can_be_cancelled(bench: Bench) -> None:
    project = await bench.project("app", tests__test_a=SLOW)
    run = await begin(bench, project, wait=0)
    await eventually(lambda: _passed(bench, project))
    live = await results(bench, project)
    assert (live.status, live.run_id, live.ended_at) == ("running", run.run_id, None)
    with pytest.raises(RunBusy):
        await begin(bench, project)
    ended = await bench.runs.cancel(project, run.run_id, ME, wait=30)
    assert ended.state == "cancelled"
    kept = await results(bench, project)
    assert (kept.status, kept.counts.passed) == ("cancelled", 1)
    assert await bench.house.told("test.failed") == []


async def _passed(bench: Bench, project: str) -> int:
    return (await results(bench, project)).counts.passed


@at_a_bench
async def test_a_deleted_project_leaves_no_run_and_no_results(bench: Bench) -> None:
    project = await bench.project("app", tests__test_a=SLOW)
    await begin(bench, project, wait=0)
    await eventually(lambda: _passed(bench, project))
    await bench.house.projects.delete(project, ME, keep_files=True)
    assert not (bench.house.home / "tests" / project).exists()
    with pytest.raises(ProjectNotFound):
        await results(bench, project)


def test_a_run_that_its_daemon_did_not_outlive_is_interrupted(tmp_path: Path) -> None:
    async def first() -> str:
        async with bench(tmp_path / "home") as there:
            project = await there.project("app", tests__test_a=SLOW)
            run = await begin(there, project, wait=0)
            await eventually(lambda: _passed(there, project))
            return run.run_id

    async def second(run_id: str) -> None:
        async with bench(tmp_path / "home") as there:
            found = await results(there, "app")
            assert (found.run_id, found.status) == (run_id, "interrupted")

    asyncio.run(second(asyncio.run(first())))


@at_a_bench
async def test_what_is_wrong_is_refused_before_anything_begins(bench: Bench) -> None:
    project = await bench.project("app", tests__test_a=MIXED)
    folder = bench.house.home / "projects" / "app"
    with pytest.raises(PathOutsideProject):
        await begin(bench, project, paths=["../other"])
    (folder / "att.toml").write_text("[test]\ntimeuot = 3\n")
    with pytest.raises(InvalidTestSettings) as caught:
        await begin(bench, project)
    assert caught.value.extra["fields"][0]["field"] == "test.timeuot"
    (folder / "att.toml").write_text("")
    for place in (folder / ".venv" / "lib").rglob("pytest*"):
        place.unlink()
    environment(folder, with_packages=False)
    with pytest.raises(PytestNotInstalled):
        await begin(bench, project)
    (folder / ".venv" / "pyvenv.cfg").unlink()
    (folder / ".venv").rename(folder / "elsewhere")
    with pytest.raises(EnvironmentNotBuilt):
        await begin(bench, project)
    assert await bench.house.told("test.run") == []


@pytest.mark.slow
@at_a_bench
async def test_a_missing_pytest_is_put_into_the_environment_when_that_is_asked_for(bench: Bench) -> None:
    project = await bench.project("app", tests__test_a="def test_a(): pass\n")
    venv = bench.house.home / "projects" / "app" / ".venv"
    await asyncio.to_thread(shutil.rmtree, venv)
    made: list[str] = []
    argv = (find_uv_bin(), "venv", "--python", sys.executable, str(venv))
    assert await shortrun.run(argv, cwd=venv.parent, env=os.environ, on_line=made.append) == 0, made
    with pytest.raises(PytestNotInstalled):
        await begin(bench, project)
    run = await begin(bench, project, install=True, coverage_threshold=10)
    assert run.state == "succeeded" and run.result is not None, run.problem
    assert run.result["coverage_percent"] > 10 and run.result["counts"]["passed"] == 1
    assert (await begin(bench, project)).state == "succeeded"


@pytest.mark.parametrize(
    ("settings", "ask", "problem"),
    [
        ('command = ["no-such-runner"]', {}, TestCommandNotFound),
        ('command = ["./no-such-runner"]', {}, TestCommandNotFound),
        ('command = ["python", "-c", ""]', {"paths": ["tests"]}, SelectionNotSupported),
        ('command = ["python", "-c", ""]', {"coverage": True}, SelectionNotSupported),
        ('command = ["python"]\nreport = "../out.xml"', {}, PathOutsideProject),
        ('env = { KEY = "${env:NOT_SET_ANYWHERE}" }', {}, SecretMissing),
        ("", {"paths": ["tests/none.py::test_a"]}, TestPathNotFound),
        ("", {"coverage_source": ["none"]}, TestPathNotFound),
        ("timeout = -1", {}, InvalidTestSettings),
        ("= 3", {}, InvalidTestSettings),
    ],
)
def test_each_wrong_wish_has_its_own_code(
    tmp_path: Path, settings: str, ask: dict[str, Any], problem: type[Problem]
) -> None:
    async def whole() -> None:
        async with bench(tmp_path / "home") as there:
            project = await there.project("app", f"[test]\n{settings}\n", tests__test_a=MIXED)
            with pytest.raises(problem):
                await begin(there, project, **ask)

    asyncio.run(whole())


@at_a_bench
async def test_an_environment_that_does_not_run_is_told_as_broken(bench: Bench) -> None:
    project = await bench.project("app", tests__test_a=MIXED)
    python = bench.house.home / "projects" / "app" / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(EnvironmentBroken):
        await begin(bench, project)
    python.unlink()
    with pytest.raises(EnvironmentBroken):
        await begin(bench, project)


@at_a_bench
async def test_only_so_many_results_are_kept(bench: Bench) -> None:
    bench.testing._kept._keep = 2
    project = await bench.project("app", tests__test_a="def test_a(): pass\n")
    runs = [(await begin(bench, project)).run_id for _ in range(3)]
    left = sorted(path.stem for path in (bench.house.home / "tests" / project).iterdir())
    assert left == runs[1:]
    forgotten = await results(bench, project, run_id=runs[0])
    assert (forgotten.status, forgotten.tests) == ("passed", [])
