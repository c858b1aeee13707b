"""What is asked of the runtime room and what it answers, field by field as the contract says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from att.catalogue import Query
from att.store.times import Timestamp
from supervisor.logs.values import PAGE_LIMIT, Line, Lost

StateName = Literal["stopped", "starting", "running", "stopping", "backoff", "failed"]
Wait = Literal["none", "running", "ready"]
ProjectId = Annotated[str, Field(min_length=1, max_length=64)]
Timeout = Annotated[
    float | None, Query, Field(default=None, ge=0, le=3600, description="Seconds to wait at most.")
]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: ProjectId


class StartRuntime(_Ask):
    wait: Annotated[
        Wait, Query, Field(description="Answer when the app is ready, when it runs, or at once.")
    ] = "ready"
    timeout: Timeout = None
    build: Annotated[bool, Query, Field(description="Build the environment first where that is needed.")] = (
        False
    )
    source: Annotated[
        Literal["deployed", "files"] | None,
        Query,
        Field(
            description="What it runs out of, from now on: what was deployed, or the project's own files. "
            "Absent: as the last time."
        ),
    ] = None


class RestartRuntime(StartRuntime):
    """Stop and start as one wish; when nothing runs, a start."""


class StopRuntime(_Ask):
    wait: Annotated[
        Literal["none", "stopped"], Query, Field(description="Answer when it has ended, or at once.")
    ] = "stopped"
    timeout: Timeout = None


class AskStatus(_Ask):
    pass


class ProbeReport(BaseModel):
    name: str
    kind: str
    use: list[str]
    healthy: bool | None
    reason: str
    checked_at: Timestamp | None
    latency_ms: float | None
    successes: int
    failures: int


class RunReport(BaseModel):
    run_id: str
    pid: int | None
    role: Literal["current", "candidate", "draining"]
    state: str


class RuntimeStatus(BaseModel):
    """How the project's app is; the fields at the top are the current (or the last) run's."""

    project_id: str
    state: StateName = "stopped"
    run_id: str | None = None
    pid: int | None = None
    command: list[str] = []
    url: str | None = None
    host: str | None = None
    port: int | None = None
    started_at: Timestamp | None = None
    ready_at: Timestamp | None = None
    exited_at: Timestamp | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    restarts: int = 0
    backoff_until: Timestamp | None = None
    healthy: bool | None = None
    health_probe: str | None = None
    health_reason: str = ""
    health_checked_at: Timestamp | None = None
    probes: list[ProbeReport] = []
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    processes: int | None = None
    open_files: int | None = None
    threads: int | None = None
    log_cursor: str | None = None
    reason: str = ""
    runs: list[RunReport] = []
    warnings: list[str] = []
    nat_version: str | None = None
    artefact_id: str | None = Field(
        default=None, description="What it runs out of; absent: the project's own files."
    )


class ReadLogs(_Ask):
    """Which lines. Without a cursor: the last `limit` lines."""

    cursor: Annotated[
        str | None, Field(max_length=128, description="`oldest`, `newest`, or one from an answer.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 1000
    wait: Annotated[float, Field(ge=0, le=60, description="Seconds to wait for a first line.")] = 0
    stream: Literal["stdout", "stderr"] | None = None
    run: Annotated[str | None, Field(max_length=64)] = None
    grep: Annotated[str | None, Field(max_length=1000, description="A regular expression.")] = None
    level: Literal["debug", "info", "warning", "error", "critical"] | None = None
    strip_ansi: bool = False


class LogPage(BaseModel):
    """Lines with what is needed to go on. `lost` comes before the lines."""

    lines: list[Line]
    next_cursor: str
    oldest_cursor: str
    newest_cursor: str
    lost: Lost | None


class DeleteLogs(_Ask):
    cursor: Annotated[
        str | None, Field(max_length=128, description="Delete what lies before; absent: all.")
    ] = None


class DeletedLogs(BaseModel):
    project_id: str
    freed_bytes: int
    oldest_cursor: str
    newest_cursor: str


class EvalRuntime(_Ask):
    config: Annotated[
        str | None, Field(max_length=1024, description="Config file; absent: the project's.")
    ] = None
    endpoint: Annotated[
        str | None, Field(max_length=1024, description="Evaluate a running app at this URL.")
    ] = None
    reps: Annotated[int, Field(ge=1, le=1000)] = 1
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 1800


class EvalFile(BaseModel):
    path: str
    size: int


class EvalResult(BaseModel):
    project_id: str
    output_dir: str
    files: list[EvalFile]
    scores: dict[str, float]
    seconds: float
    lines: list[str]


class BuildEnvironment(_Ask):
    rebuild: Annotated[bool, Query, Field(description="Build anew even when it is up to date.")] = False
    wait: Annotated[
        float, Query, Field(ge=0, le=60, description="Seconds to wait for the end; the build goes on after.")
    ] = 0


class AskEnvironment(_Ask):
    pass


class CancelBuild(_Ask):
    pass


class EnvironmentStatus(BaseModel):
    """The project's environment: what stands on disk, and the build that is under way or was the last."""

    project_id: str
    state: Literal["missing", "unfinished", "broken", "stale", "ready", "building", "failed", "cancelled"]
    reason: str = ""
    path: str
    python_version: str | None = None
    nat_version: str | None = None
    source: str | None = None
    built_at: Timestamp | None = None
    phase: str | None = None
    progress: float | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    error: str | None = Field(
        default=None,
        description="Why the last build failed, also when the environment of before is in its place again.",
    )
    lines: list[str] = []
