"""What a run is, and what is asked and answered about runs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from att.catalogue import Query
from att.store.times import Timestamp
from att.workflow.states import RunState, StepState

RunId = Annotated[str, Field(min_length=1, max_length=64)]
Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=64)]
Wait = Annotated[
    float,
    Query,
    Field(
        default=0,
        ge=0,
        le=60,
        description="Seconds to wait for the end; the run goes on when it takes longer.",
    ),
]


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ListRuns(_Ask):
    """Which runs of a project, the newest first."""

    project_id: str
    kind: Kind | None = None
    state: RunState | None = None
    cursor: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=100, ge=1, le=1000)


class AskRun(_Ask):
    project_id: str
    run_id: RunId
    wait: float = Field(default=0, ge=0, le=60, description="Seconds to wait for the end.")


class CancelRun(_Ask):
    project_id: str
    run_id: RunId
    wait: Wait = 0


class ResumeRun(_Ask):
    project_id: str
    run_id: RunId
    wait: Wait = 0


class Step(BaseModel):
    """One step of a run. `output` is what it answered, in short when that is long."""

    name: str
    state: StepState
    attempts: int
    started_at: Timestamp
    ended_at: Timestamp | None
    output: Any = None
    problem: dict[str, Any] | None = None


class RunRow(BaseModel):
    """A run, in short. `step`, `message`, `done` of `total`: how far it is."""

    run_id: str
    project_id: str
    kind: str
    state: RunState
    step: str | None = None
    message: str | None = None
    done: float | None = None
    total: float | None = None
    actor: str
    request_id: str | None
    created_at: Timestamp
    started_at: Timestamp | None
    ended_at: Timestamp | None


class Run(RunRow):
    """Long work that was begun: how it stands, its steps, and its result or its problem. Long texts of the input are cut."""

    steps: list[Step] = []
    input: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class RunPage(BaseModel):
    runs: list[RunRow]
    next_cursor: str | None
