"""One run of tests, from start to end, with its whole process tree.

pytest is given a plugin of ours that tells each thing as it happens on a pipe, so there are counts while it runs and a result also
when it dies. Another runner is run by its own command, and its report read at the end. What comes out is always a result;
only a fault of the program is raised. Cancelled, the tree is ended first; `result` then tells how far it came.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from att import plain, shortrun
from att.store.times import now
from att.testing import coverage, jsonreport, junit, verdict, words
from att.testing.errors import MalformedReport, ReportMissing, TestCommandNotFound
from att.testing.models import BAD, Coverage, KeptResult, Status
from att.testing.prepare import SHIM, Prepared
from att.testing.tally import Tally, shortened
from att.testing.verdict import Verdict
from att.testing.words import Commands

LINES = 200
LINE = 2000
MOST_LINE = 4 * 1024 * 1024
MOST_REPORT = 64 * 1024 * 1024
_EVERY = 0.2  # seconds between two words on progress
_LAST_WORDS = 5.0
_AFTER = 120.0


class Report(Protocol):
    """How a run tells how far it is."""

    def __call__(self, message: str, *, done: float | None = None, total: float | None = None) -> None: ...


class Running:
    """Made, run once by `await run()`; `result()` at any time."""

    def __init__(self, run_id: str, prepared: Prepared, tmp: Path, report: Report) -> None:
        self.run_id = run_id
        self.prepared = prepared
        self.tally = Tally(prepared.relative, prepared.hide)
        self._tmp = tmp
        self._report = report
        self._command: tuple[str, ...] = ()
        self._output: deque[str] = deque(maxlen=LINES)
        self._exit: int | None = None
        self._coverage: Coverage | None = None
        self._verdict = Verdict(Status.RUNNING)
        self._started_at = now()
        self._began = time.monotonic()
        self._seconds: float | None = None
        self._told = 0.0

    async def run(self) -> KeptResult:
        await asyncio.to_thread(_empty, self._tmp)
        try:
            self._verdict = await (self._own() if self.prepared.settings.command else self._pytest())
        except asyncio.CancelledError:
            self._verdict = Verdict(Status.CANCELLED, message="The run was cancelled.")
            raise
        finally:
            self._seconds = time.monotonic() - self._began
            await asyncio.to_thread(shutil.rmtree, self._tmp, ignore_errors=True)
        return self.result()

    def result(self) -> KeptResult:
        """How it is by now."""
        said, tally = self._verdict, self.tally
        seconds = self._seconds if self._seconds is not None else time.monotonic() - self._began
        return KeptResult(
            run_id=self.run_id,
            project_id=self.prepared.project_id,
            status=said.status,
            code=said.code,
            message=self.prepared.hide(said.message),
            counts=tally.counts,
            duration_seconds=round(seconds, 3),
            coverage=self._coverage,
            slowest=tally.slowest(),
            failures=list(tally.failures.values()),
            command=[self.prepared.hide(word) for word in self._command],
            runner="command" if self.prepared.settings.command else "pytest",
            runner_version=tally.version,
            exit_code=self._exit,
            output=list(self._output),
            started_at=self._started_at,
            ended_at=None if said.status is Status.RUNNING else now(),
            cut=tally.cut,
            tests=tally.in_order(),
        )

    @property
    def where(self) -> tuple[str | None, int | None]:
        """The file and line that the verdict is about."""
        return self._verdict.file, self._verdict.line

    # -- pytest

    async def _pytest(self) -> Verdict:
        prepared = self.prepared
        assert prepared.environment is not None  # noqa: S101  (pytest is run in one)
        commands = words.pytest(
            prepared.ask,
            prepared.settings,
            python=prepared.environment.python,
            paths=prepared.paths,
            kind_marker=prepared.kind_marker,
            has=prepared.has,
            into=self._tmp,
        )
        try:
            self._exit = await self._piped(commands.main)
        except TimeoutError:
            return verdict.timed_out(self.tally, prepared.timeout)
        try:
            await self._covered(commands)
        except MalformedReport as fault:
            return Verdict(Status.BROKEN, fault.code, fault.detail)
        return verdict.of_pytest(self.tally, self._exit, list(self._output), self._coverage)

    async def _piped(self, argv: Sequence[str]) -> int:
        """Run pytest with our plugin, and hear what it tells until nobody can tell any more."""
        reading, writing = os.pipe()
        heard = asyncio.create_task(_hear(reading, self._hear), name=f"test reports {self.run_id}")
        path = self.prepared.env.get("PYTHONPATH", "")
        env = {
            **self.prepared.env,
            "ATT_TEST_REPORT": str(writing),
            "PYTHONPATH": f"{SHIM}:{path}" if path else str(SHIM),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._report("Starting pytest")
        try:
            code = await self._run(argv, env, (writing,))
        finally:
            os.close(writing)
            await asyncio.wait([heard], timeout=_LAST_WORDS)
            heard.cancel()
        if self.tally.expected is not None:
            self._tell()
        return code

    def _hear(self, line: str) -> None:
        self.tally.line(line)
        if time.monotonic() - self._told >= _EVERY:
            self._tell()

    def _tell(self) -> None:
        """How far it is; at the end too, since the last words may come all at once."""
        self._told = time.monotonic()
        counts, total = self.tally.counts, self.tally.expected
        bad = counts.failed + counts.errors
        told = f"{counts.total} of {total} tests" if total is not None else "Collecting tests"
        self._report(f"{told}, {bad} failed" if bad else told, done=counts.total, total=total)

    async def _covered(self, commands: Commands) -> None:
        report = self._tmp / words.COVERAGE_FILE
        if commands.after:
            try:
                await self._run(commands.after, self.prepared.env, (), _AFTER)
            except TimeoutError:
                return
        data = await asyncio.to_thread(_content, report)
        threshold = self.prepared.threshold
        if data is not None:
            self._coverage = await asyncio.to_thread(coverage.read, data, threshold)
        elif threshold is not None:  # nothing was measured
            self._coverage = Coverage(percent=0.0, threshold=threshold, met=threshold <= 0)

    # -- the project's own command

    async def _own(self) -> Verdict:
        prepared = self.prepared
        named = prepared.settings.report
        report = prepared.folder / named if named else self._tmp / "report"
        before = await asyncio.to_thread(_changed, report)
        self._report(f"Starting {prepared.settings.command[0]}")
        argv = words.own(prepared.ask, prepared.settings, prepared.paths, report)
        try:
            self._exit = await self._run(argv, prepared.env)
        except TimeoutError:
            return verdict.timed_out(self.tally, prepared.timeout)
        data = await asyncio.to_thread(_content, report)
        if data is None or (before is not None and before == await asyncio.to_thread(_changed, report)):
            if self._exit < 0:
                return verdict.of_command(self.tally, self._exit, list(self._output))
            last = next((line for line in reversed(self._output) if line.strip()), "nothing was said")
            said = f"The command ended with {self._exit} and wrote no {named or 'report'}: {last}"
            return Verdict(Status.BROKEN, ReportMissing.code, said)
        read = junit.read if prepared.settings.report_format == "junit" else jsonreport.read
        try:
            await asyncio.to_thread(read, data, self.tally, prepared.hide)
        except MalformedReport as fault:
            return Verdict(Status.BROKEN, fault.code, fault.detail, named or None, fault.extra.get("line"))
        return verdict.of_command(self.tally, self._exit, list(self._output))

    async def _run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        timeout: float | None = None,
    ) -> int:
        if not self._command:
            self._command = tuple(argv)
        try:
            return await shortrun.run(
                argv,
                cwd=self.prepared.folder,
                env=env,
                on_line=self._said,
                timeout=self.prepared.timeout if timeout is None else timeout,
                pass_fds=pass_fds,
            )
        except (FileNotFoundError, PermissionError) as fault:  # gone since it was looked for
            raise TestCommandNotFound(f"{argv[0]}: {fault.strerror}.", command=argv[0]) from None

    def _said(self, line: str) -> None:
        self._output.append(shortened(self.prepared.hide(line), LINE))


async def _hear(descriptor: int, on_line: Callable[[str], None]) -> None:
    """Every line that comes through the pipe, until all who could write to it are gone."""
    reader = asyncio.StreamReader(limit=1 << 22)
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            rest = b""
            while piece := await reader.read(64 * 1024):
                *whole, rest = (rest + piece).split(b"\n")
                rest = rest if len(rest) <= MOST_LINE else b""  # no line of ours is as long
                for line in whole:
                    on_line(line.decode("utf-8", "replace"))
        finally:
            transport.close()


def failed(result: KeptResult) -> list[str]:
    """The names of some tests that did not pass."""
    return [case.id for case in result.tests if case.outcome in BAD][: verdict.NAMED]


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)


def _content(path: Path) -> bytes | None:
    try:
        with plain.opened(path) as file:
            data = file.read(MOST_REPORT + 1)
    except OSError:
        return None
    return data if len(data) <= MOST_REPORT else b""


def _changed(path: Path) -> tuple[int, int] | None:
    """What tells one report from the next of the same name."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ino
