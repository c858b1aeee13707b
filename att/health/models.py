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


class Heartbeat(BaseModel):
    """How the event loop runs: how long ago it last beat (once a second), and how late it was at worst in the last minute."""

    age_seconds: float
    worst_lag_ms: float


class Health(BaseModel):
    """How the daemon is. Without a token: the first four fields only, the others are null."""

    status: Status
    release: str
    version: str
    safe_mode: Annotated[
        bool, Field(description="Apps are kept, but neither probed nor started, since releases kept dying.")
    ] = False
    boot_id: Annotated[str | None, Field(description="The name of this life under the launcher.")] = None
    pid: int | None = None
    uptime_seconds: float | None = None
    checks: list[Check] | None = None
    heartbeat: Heartbeat | None = None
