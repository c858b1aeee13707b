"""The shapes in the OpenAPI document that no model tells: a problem, and one message of a stream of events."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

PROBLEM: Json = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457), with a stable code for programs and a hint for people.",
    "required": ["type", "title", "status", "detail", "instance", "code", "hint", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "One sentence for a person."},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Stable; for programs."},
        "hint": {"type": "string", "description": "What to do about it."},
        "request_id": {"type": "string"},
        "fields": {
            "type": "array",
            "description": "With `invalid_request`: the fields that fail.",
            "items": {
                "type": "object",
                "properties": {key: {"type": "string"} for key in ("field", "in", "message")},
            },
        },
    },
    "additionalProperties": True,
}


# What stands for one message of a stream of server-sent events.
SSE_MESSAGE: Json = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Send it as `Last-Event-ID` to go on after this message."},
        "event": {"type": "string"},
        "data": {"type": "string", "description": "A JSON object."},
    },
}
