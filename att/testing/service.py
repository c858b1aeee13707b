"""The service of the test room: runs of tests as long work, their results, and the events that tell of them.

`test` is the work itself, for others too (a workflow that changes code and tests it). A run that ends badly has a
problem with its own code, and a result with all the details.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from att.catalogue import Call
from att.event.log import EventLog
from att.event.models import Outcome as EventOutcome
from att.problems import BadCursor
from att.project.models import Project
from att.project.projects import Projects
from att.runtime.errors import EnvironmentBuilding
from att.runtime.service import Runtime
from att.testing import running
from att.testing.errors import (
    FAILURES,
    MalformedReport,
    NoTestResults,
    ReportMissing,
    TestsFailed,
)
from att.testing.kept import Kept
from att.testing.models import (
    BAD,
    KeptResult,
    ReadResults,
    RunTests,
    Selection,
    Status,
    TestFailure,
    TestResults,
)
from att.testing.prepare import Prepared, install, prepare
from att.testing.running import Report, Running
from att.workflow.flow import Flow
from att.workflow.runs import Runs
from att.workflow.states import RunState

if TYPE_CHECKING:
    from att.problems import Problem
    from att.workflow.models import Run

KIND = "test.run"
MOST_DETAILS = 1 << 20  # characters of details in one page
_STATES = {
    RunState.QUEUED: Status.QUEUED,
    RunState.RUNNING: Status.RUNNING,
    RunState.CANCELLED: Status.CANCELLED,
    RunState.INTERRUPTED: Status.INTERRUPTED,
    RunState.FAILED: Status.BROKEN,
    RunState.SUCCEEDED: Status.PASSED,
}


class Testing:
    __test__ = False

    def __init__(
        self,
        projects: Projects,
        runtime: Runtime,
        events: EventLog,
        runs: Runs,
        *,
        home: Path,
        environ: Mapping[str, str],
    ) -> None:
        self._projects = projects
        self._runtime = runtime
        self._events = events
        self._runs = runs
        self._home = home
        self._environ = environ
        self._kept = Kept(home / "tests")
        self._live: dict[str, Running] = {}
        runs.register(KIND, self._work, resume=False)
        projects.before_delete.append(self._forget)

    # -- as an operation

    async def begin(self, ask: RunTests, call: Call) -> Run:
        """Begin a run; what can be known to be wrong is refused before that."""
        selection = Selection.model_validate(ask.model_dump(exclude={"project_id", "wait"}))
        await self._prepared(ask.project_id, selection)
        told = selection.model_dump(mode="json", exclude_defaults=True)
        return await self._runs.begin(KIND, ask.project_id, call, told, wait=ask.wait)

    async def results(self, ask: ReadResults) -> TestResults:
        """A page of the results of one run, or how far it is."""
        run = await self._run(ask)
        live = self._live.get(run.run_id)
        found = live.result() if live is not None else None
        if found is None:
            found = await asyncio.to_thread(self._kept.read, ask.project_id, run.run_id)
        if found is None and run.kind != KIND:  # others run tests too
            raise NoTestResults(f"{run.run_id}, a run of {run.kind}, has no test results.")
        return _page(_as_it_ended(found, run) if found is not None else _without(run), ask)

    # -- the work itself

    async def test(
        self, project_id: str, run_id: str, selection: Selection, call: Call, report: Report
    ) -> KeptResult:
        """Run tests, keep their result and tell of it; the result, good or bad. Cancelled, it keeps how far it came."""
        prepared = await self._prepared(project_id, selection, run_id)
        if prepared.missing:
            report(f"Installing {', '.join(prepared.missing)}")
            await install(prepared, self._environ)
            prepared = await self._prepared(project_id, selection, run_id)
        asked = {"run_id": run_id, **selection.model_dump(mode="json", exclude_defaults=True)}
        await self._tell("test.run", project_id, asked, call)
        live = Running(run_id, prepared, self._tmp(project_id, run_id), report)
        self._live[run_id] = live
        try:
            result = await live.run()
            await self._ended(result, call)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.create_task(self._ended(live.result(), call)))
            raise
        finally:
            del self._live[run_id]
        return result

    async def _work(self, flow: Flow) -> dict[str, Any]:
        selection = Selection.model_validate(flow.input)
        result = await self.test(flow.project_id, flow.run_id, selection, flow.call, flow.report)
        problem = problem_of(result)
        if problem is not None:
            raise problem
        return summary(result)

    async def _ended(self, result: KeptResult, call: Call) -> None:
        await asyncio.to_thread(self._kept.write, result)
        if result.status is Status.CANCELLED:
            return
        good = result.status in (Status.PASSED, Status.EMPTY)
        told = summary(result)
        if not good:
            told |= {"message": result.message, "tests": running.failed(result)}
        name = "test.passed" if good else "test.failed"
        await self._tell(name, result.project_id, told, call, good=good)

    # -- inside

    async def _prepared(self, project_id: str, selection: Selection, run_id: str = "") -> Prepared:
        folder = await self._projects.path(project_id)
        if self._runtime.builds.under_way(project_id):
            raise EnvironmentBuilding(f"{project_id}: its environment is being built")
        tmp = self._tmp(project_id, run_id)
        return await prepare(project_id, folder, selection, self._environ, tmp)

    async def _run(self, ask: ReadResults) -> Run:
        if ask.run_id is None:
            await self._projects.get(ask.project_id)
            run = await self._runs.newest(ask.project_id, KIND)
            if run is None:
                raise NoTestResults(f"No tests of {ask.project_id} were run yet.")
            return run
        return await self._runs.get(ask.project_id, ask.run_id)

    async def _tell(
        self, name: str, project_id: str, told: Mapping[str, Any], call: Call, *, good: bool = True
    ) -> None:
        await self._events.append(
            name,
            project_id=project_id,
            payload=told,
            actor=call.actor,
            request_id=call.request_id,
            outcome=EventOutcome.OK if good else EventOutcome.FAILED,
        )

    def _tmp(self, project_id: str, run_id: str) -> Path:
        """Wiped after the run, and by the next life when this one is killed."""
        return self._home / "run" / project_id / f"test-{run_id}-tmp"

    async def _forget(self, project: Project) -> None:
        await asyncio.to_thread(self._kept.forget, project.id)


def summary(result: KeptResult) -> dict[str, Any]:
    """What is told of a result in a line."""
    covered = result.coverage.percent if result.coverage is not None else None
    return {
        "run_id": result.run_id,
        "status": result.status.value,
        "code": result.code,
        "counts": result.counts.model_dump(),
        "duration_seconds": result.duration_seconds,
        "coverage_percent": covered,
    }


def problem_of(result: KeptResult) -> Problem | None:
    """The problem that a bad result is; None for a good one."""
    if result.code is None:
        return None
    told: dict[str, Any] = {
        "result": summary(result),
        "tests": running.failed(result),
        "exit_code": result.exit_code,
    }
    if result.failures and result.code == FAILURES["test_collection_failed"].code:
        told |= {"file": result.failures[0].file, "line": result.failures[0].line}
    kinds: dict[str, type[Problem]] = {
        **FAILURES,
        MalformedReport.code: MalformedReport,
        ReportMissing.code: ReportMissing,
    }
    return kinds.get(result.code, TestsFailed)(result.message, **told)


def _as_it_ended(found: KeptResult, run: Run) -> KeptResult:
    """A run that was cut off by the daemon's own end was not cancelled by anybody."""
    if found.status is Status.CANCELLED and run.state is RunState.INTERRUPTED:
        found.status, found.message = Status.INTERRUPTED, "The daemon ended in the middle of the run."
    return found


def _without(run: Run) -> KeptResult:
    """Of a run whose results were never kept: how it stands."""
    problem = run.problem or {}
    return KeptResult(
        run_id=run.run_id,
        project_id=run.project_id,
        status=_STATES[run.state],
        code=problem.get("code"),
        message=str(problem.get("detail") or ""),
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


def _page(result: KeptResult, ask: ReadResults) -> TestResults:
    cases = [case for case in result.tests if case.outcome in BAD] if ask.failed else result.tests
    begin = int(ask.cursor or 0)
    if begin > len(cases):
        raise BadCursor(
            "The cursor lies after the last test.", fields=[{"field": "cursor", "message": "too far"}]
        )
    details = {failure.id: failure for failure in result.failures}
    failures: list[TestFailure] = []
    end, size = begin, 0
    for case in cases[begin : begin + ask.limit]:
        failure = details.get(case.id) if case.outcome in BAD else None
        if failure is not None:
            size += sum(map(len, (failure.message, failure.traceback, failure.stdout, failure.stderr)))
            if size > MOST_DETAILS and failures:
                break
            failures.append(failure)
        end += 1
    told = result.model_dump(exclude={"tests", "failures"})
    after = str(end) if end < len(cases) else None
    return TestResults(**told, tests=cases[begin:end], failures=failures, next_cursor=after)
