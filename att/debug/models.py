"""What is asked and answered when something is looked into."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from att.store.times import Timestamp
from supervisor.logs.values import Lost

Level = Literal["debug", "info", "warning", "error", "critical"]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: str
    cursor: str | None = Field(
        default=None, max_length=64, description="Where to go on; without: at the newest."
    )
    direction: Literal["older", "newer"] = Field(
        default="older", description="Which way to go from the cursor. What is found comes oldest first."
    )
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    run: str | None = Field(default=None, max_length=64, description="Of this run only.")
    logger: str | None = Field(default=None, max_length=200, description="This logger and those below it.")
    pattern: str | None = Field(
        default=None, max_length=1000, description="A regular expression that the record's text must hold."
    )


class ReadRecords(_Ask):
    """Which records of the app's log."""

    level: Level | None = Field(default=None, description="The least level.")
    stream: Literal["stdout", "stderr"] | None = None
    limit: int = Field(default=100, ge=1, le=1000)


class ReadErrors(_Ask):
    """Which errors of the app's log."""

    level: Literal["warning", "error", "critical"] = Field(default="error", description="The least level.")
    type: str | None = Field(default=None, max_length=200, description="The exception's name, or its end.")
    group: bool = Field(default=False, description="Tell equal ones once, with their number.")
    limit: int = Field(default=20, ge=1, le=200)


class LogRecord(BaseModel):
    """One record of the log: its first line's message, and all its lines as `text`."""

    cursor: str
    at: Timestamp
    level: str | None
    logger: str | None
    stream: str
    run: str
    message: str
    text: str
    lines: int
    cut: bool = False


class _Page(BaseModel):
    """`previous_cursor` (older) is null at the log's beginning. `complete` is false where the time for one answer was over:
    go on from the cursor."""

    previous_cursor: str | None
    next_cursor: str
    newest_cursor: str
    lost: Lost | None = None
    complete: bool = True


class RecordPage(_Page):
    """Records, the oldest first."""

    records: list[LogRecord]


class ErrorFrame(BaseModel):
    """One call, the outermost first. `function` is null at the place of a syntax error."""

    file: str
    line: int
    function: str | None
    code: str | None = None
    in_project: bool = False
    repeated: int = 0


class ErrorLink(BaseModel):
    """An exception that stands in the same traceback. `why`: `cause` or `context` of the next one; `path`: its place in a
    group ("2.1": the first of the second)."""

    type: str
    message: str
    frames: list[ErrorFrame]
    why: Literal["cause", "context"] | None = None
    path: str | None = None


class ErrorRecord(BaseModel):
    """An error of the app: what was raised, where, and because of what.

    `chain` holds the exceptions before it, the oldest first; `members` those of a group. Without a
    traceback there is no `type`.
    """

    cursor: str
    at: Timestamp
    level: str | None
    logger: str | None
    run: str
    type: str | None
    message: str
    frames: list[ErrorFrame] = []
    chain: list[ErrorLink] = []
    members: list[ErrorLink] = []
    text: str
    cut: bool = False
    count: int = 1
    first_at: Timestamp


class ErrorPage(_Page):
    """Errors, the oldest first."""

    errors: list[ErrorRecord]


class ReadProfile(BaseModel):
    """Which profile of a project."""

    model_config = ConfigDict(extra="forbid")

    project_id: str
    folder: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Where the evaluation wrote; default: where the config says.",
    )
    limit: int = Field(default=100, ge=1, le=1000, description="How many requests and names to tell of.")


class Spread(BaseModel):
    """How a measure was spread over `n` samples."""

    n: int
    mean: float
    p90: float
    p95: float
    p99: float


class Tokens(BaseModel):
    prompt: int = 0
    completion: int = 0
    total: int = 0


class StepMetrics(BaseModel):
    """All calls of one name."""

    kind: str
    name: str
    calls: int
    unfinished: int = 0
    total_seconds: float
    mean_seconds: float
    p95_seconds: float
    max_seconds: float
    tokens: Tokens = Tokens()


class RequestMetrics(BaseModel):
    """One example of the dataset."""

    number: int
    seconds: float
    steps: int
    tokens: Tokens = Tokens()


class Profile(BaseModel):
    """What the profiler of `nat eval` measured; what took longest comes first."""

    project_id: str
    folder: str
    measured_at: Timestamp
    files: list[str]
    requests: int
    tokens: Tokens
    workflow_seconds: Spread | None = None
    llm_seconds: Spread | None = None
    requests_per_second: float | None = None
    slowest: list[RequestMetrics] = []
    steps: list[StepMetrics] = []
