"""What is asked and answered about tests."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from att.catalogue import Query
from att.store.times import Timestamp


def _no_flag(text: str) -> str:
    """Nothing that the runner would take for an option."""
    if text.startswith("-"):
        raise ValueError("it must not begin with a dash")
    if any(ord(letter) < 32 for letter in text):
        raise ValueError("it must not hold control characters")
    return text


Words = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_no_flag)]
Place = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_no_flag)]


class Selection(BaseModel):
    """Which tests to run, and how. Everything that is set must hold."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["unit", "integration", "e2e"] | None = Field(
        default=None,
        description="The tests in the folder of this name below `tests`, or else those with this marker.",
    )
    paths: list[Place] = Field(default=[], max_length=200, description="Files, folders or node ids.")
    marker: Words | None = Field(default=None, description="A marker expression, as pytest's `-m` takes it.")
    keyword: Words | None = Field(default=None, description="An expression over names, as pytest's `-k`.")
    max_failures: int | None = Field(default=None, ge=1, le=10_000, description="Stop after so many.")
    timeout: float | None = Field(
        default=None, gt=0, le=86_400, description="Seconds; then everything is ended. Default 600."
    )
    coverage: bool = Field(default=False, description="Measure which lines the tests run.")
    coverage_threshold: float | None = Field(
        default=None, ge=0, le=100, description="Percent; a run that covers less has failed."
    )
    coverage_source: list[Place] = Field(default=[], max_length=50, description="Folders to measure.")
    install: bool = Field(
        default=False,
        description="Put pytest (and what coverage needs) into the project's environment when it is missing.",
    )


class RunTests(Selection):
    """Which tests of a project to run."""

    project_id: str
    wait: Annotated[
        float, Query, Field(ge=0, le=60, description="Seconds to wait for the end; the run goes on after.")
    ] = 0


class ReadResults(BaseModel):
    """Which run's results, and which part of them."""

    model_config = ConfigDict(extra="forbid")

    project_id: str
    run_id: str | None = Field(default=None, max_length=64, description="Default: the newest run.")
    failed: bool = Field(default=False, description="Only the tests that failed or broke.")
    cursor: str | None = Field(default=None, max_length=32, pattern=r"^[0-9]{1,10}$")
    limit: int = Field(default=100, ge=1, le=1000)


class Outcome(StrEnum):
    """How one test ended; `error` when what stands around it failed (a fixture, the reading of its file)."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"


BAD = frozenset({Outcome.FAILED, Outcome.ERROR})


class Status(StrEnum):
    """How a whole run of tests is, or ended."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"  # tests failed, or too little was covered
    EMPTY = "empty"  # nothing was selected
    BROKEN = "broken"  # a file could not be read, or the interpreter died, or the runner refused
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # the daemon died in the middle of it


class TestCounts(BaseModel):
    __test__: ClassVar[bool] = False

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    xfailed: int = 0
    xpassed: int = 0
    total: int = 0


class TestCase(BaseModel):
    """One test, in a line. `message`: why it did not pass."""

    __test__: ClassVar[bool] = False

    id: str
    outcome: Outcome
    duration_seconds: float = 0.0
    file: str | None = None
    line: int | None = None
    message: str = ""


class TestFailure(BaseModel):
    """A test that failed or broke, in full; long texts are cut in the middle. `phase`: collect, setup, call or teardown."""

    __test__: ClassVar[bool] = False

    id: str
    outcome: Outcome
    phase: str = "call"
    message: str = ""
    traceback: str = ""
    file: str | None = None
    line: int | None = None
    stdout: str = ""
    stderr: str = ""
    log: str = ""


class FileCoverage(BaseModel):
    file: str
    percent: float
    statements: int
    missing: int
    missing_lines: list[int] = []


class Coverage(BaseModel):
    """How much of the code the tests ran. `met`: at least the threshold (null without one)."""

    percent: float
    threshold: float | None = None
    met: bool | None = None
    files: list[FileCoverage] = []


class TestResult(BaseModel):
    """What came of one run. `code` and `message` say why it is not `passed`."""

    __test__: ClassVar[bool] = False

    run_id: str
    project_id: str
    status: Status
    code: str | None = None
    message: str = ""
    counts: TestCounts = TestCounts()
    duration_seconds: float = 0.0
    coverage: Coverage | None = None
    slowest: list[TestCase] = []
    failures: list[TestFailure] = []
    command: list[str] = []
    runner: str = "pytest"
    runner_version: str = ""
    exit_code: int | None = None
    output: list[str] = []
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    cut: bool = False


class TestResults(TestResult):
    """One page of a run's tests, those that failed first; `failures` has the details of the failed ones of this page."""

    tests: list[TestCase] = []
    next_cursor: str | None = None


class KeptResult(TestResult):
    """As it is kept: all tests and all failures."""

    tests: list[TestCase] = []
