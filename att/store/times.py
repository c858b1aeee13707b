"""Wall time as text: RFC 3339 in UTC with microseconds and `Z`.

Always 27 characters, so that text order is time order. For people and for ranges in queries only;
durations are measured by the monotonic clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

Timestamp = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-21T01:02:03.456789Z"])
]


def stamp(moment: datetime) -> str:
    """`moment` (which must know its zone) as text."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone names no moment")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def now() -> str:
    """This moment as text."""
    return stamp(datetime.now(UTC))
