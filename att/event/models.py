"""What an event is, and what is asked and answered about events."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from att.store.times import Timestamp

TypePattern = Annotated[
    str, Field(pattern=r"^(\*|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?)$", max_length=64)
]
"""One type (`runtime.started`), all that begin with a word (`runtime.*`), or all (`*`)."""


class Outcome(StrEnum):
    """How what the event tells of ended."""

    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused"


class Event(BaseModel):
    """One thing that happened. Never changed; `id` grows with every event and is never given twice."""

    model_config = ConfigDict(frozen=True)

    id: int
    project_id: str | None
    event_type: str
    payload: dict[str, Any]
    timestamp: Timestamp
    actor: str
    request_id: str | None
    outcome: Outcome


class Order(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"


class ListEvents(BaseModel):
    """Which events, and how many at a time."""

    model_config = ConfigDict(extra="forbid")

    project_id: str | None = None
    type: list[TypePattern] = Field(default=[], max_length=20)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    order: Order = Order.NEWEST
    cursor: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=100, ge=1, le=1000)


class ListProjectEvents(ListEvents):
    """The events of one project."""

    project_id: str


class EventPage(BaseModel):
    """A page of events.

    `next_cursor` goes on in the order that was asked for (null: there are no more now), `previous_cursor`
    back.
    """

    events: list[Event]
    next_cursor: str | None
    previous_cursor: str | None


class FollowEvents(BaseModel):
    """Which events to follow, from which id on. Without `after` (and Last-Event-ID): from now on."""

    model_config = ConfigDict(extra="forbid")

    after: int | None = Field(default=None, ge=0)
    type: list[TypePattern] = Field(default=[], max_length=20)
    wait: float = Field(default=0, ge=0, le=60)
    limit: int = Field(default=100, ge=1, le=1000)


class FollowProjectEvents(FollowEvents):
    project_id: str


class NewEvents(BaseModel):
    """Events after an id, oldest first. Ask again with `after` = `last_id`."""

    events: list[Event]
    last_id: int


class DeleteEvents(BaseModel):
    """Delete what happened before a time; of one project, when it is named."""

    model_config = ConfigDict(extra="forbid")

    before: AwareDatetime
    project_id: str | None = None


class DeletedEvents(BaseModel):
    deleted: int
    event_id: int
    """The event that records the deletion."""
