"""What is asked and answered about the daemon's own health."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Status(StrEnum):
    OK = "ok"
    STARTING = "starting"
    STOPPING = "stopping"
    DEGRADED = "degraded"


class AskHealth(BaseModel):
    """Liveness, or readiness with `ready`."""

    model_config = ConfigDict(extra="forbid")

    ready: Annotated[bool, Field(description="Answer 503 while the daemon cannot take work.")] = False


class Check(BaseModel):
    """One part of the daemon."""

    name: str
    ok: bool
    reason: str = ""


class Health(BaseModel):
    """How the daemon is. Without a token: the first three fields only, the others are null."""

    status: Status
    release: str
    version: str
    pid: int | None = None
    uptime_seconds: float | None = None
    checks: list[Check] | None = None
