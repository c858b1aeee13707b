"""What may stand in an event's payload: plain JSON of bounded size, without secrets.

An event must never fail for what it carries, so whatever does not fit is cut or told in words instead. No
I/O.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from att.event.redact import HIDDEN, hide, is_secret

TEXT = 8_192
"""Characters of one text."""
WHOLE = 65_536
"""Bytes of the payload as JSON."""
ITEMS = 1_000
DEPTH = 12
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def clean(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload as it is kept. What is clean already comes back the same."""
    return clean_and_encode(payload)[0]


def clean_and_encode(payload: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The payload as it is kept, and that as JSON text."""
    kept = _object(payload, DEPTH)
    text = _encode(kept)
    if len(text) <= WHOLE:
        return kept, text
    small = {
        key: value for key, value in kept.items() if len(key) + len(_encode(value)) <= 512 and key != "cut"
    }
    kept = {
        **dict(list(small.items())[:50]),
        "cut": f"the payload was too long to be kept ({len(text)} bytes)",
    }
    return kept, _encode(kept)


def _encode(value: Any) -> str:
    return _ENCODER.encode(value)


def _object(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    return {
        _text(str(key)): HIDDEN if is_secret(str(key), item) else _plain(item, depth - 1)
        for key, item in list(value.items())[:ITEMS]
    }


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value)
    if depth <= 0:
        return "…"
    if isinstance(value, Mapping):
        return _object(value, depth)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth - 1) for item in list(value)[:ITEMS]]
    return _text(str(value))


def _text(value: str) -> str:
    whole = hide(value[: 2 * TEXT])
    if not whole.isascii():
        whole = whole.encode("utf-8", "replace").decode()
    return whole if len(whole) <= TEXT else whole[: TEXT - 1] + "…"
