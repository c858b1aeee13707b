"""What may stand in a run: plain JSON of bounded size; and how a long input is shown. This file does no I/O."""

from __future__ import annotations

import json
from typing import Any

from att.workflow.errors import TooLarge

INPUT = 32 << 20
OUTPUT = 4 << 20
"""Bytes of JSON, of a run's input and of what one step or the whole run answers."""
TEXT = 2_000
"""Characters of one text of an input that is shown."""
ITEMS = 100


def encoded(value: Any, limit: int, what: str) -> str:
    """`value` as JSON; `TooLarge` when it is longer than `limit`, TypeError when it is no plain JSON."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    if len(text) > limit:
        raise TooLarge(f"{what} is {len(text)} bytes of JSON, and {limit} is the most.")
    return text


def shown(value: Any) -> Any:
    """The same with long texts and lists cut."""
    if isinstance(value, str) and len(value) > TEXT:
        return f"{value[:TEXT]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list):
        more = [f"… ({len(value)} in all)"] if len(value) > ITEMS else []
        return [*(shown(item) for item in value[:ITEMS]), *more]
    return value
