"""JSON schemas of tools, made from the models of the operations: each complete in itself, in the dialect of 2020-12.

A tool answers with its result or, as a tool error, with a problem. Some clients check both against the output schema, so it
allows both. Does no I/O.
"""

from __future__ import annotations

from typing import Any

from att.catalogue import Operation
from att.http.streams import NDJSON, TEXT

Json = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PROBLEM: Json = {
    "type": "object",
    "description": "What went wrong (RFC 9457): a stable code for programs, a hint of what to do.",
    "properties": {name: {"type": "string"} for name in ("title", "detail", "code", "hint")},
    "required": ["title", "status", "detail", "code", "hint"],
}
_AS_IT_IS = frozenset({"default", "const", "enum", "examples", "required"})  # values, no schemas
_NOTHING: Json = {
    "type": "object",
    "title": "Done",
    "properties": {"done": {"const": True}},
    "required": ["done"],
}
_ITEMS: Json = {
    "type": "object",
    "title": "Items",
    "description": "What a stream told until it ended, or until the answer was large enough.",
    "properties": {"items": {"type": "array"}, "complete": {"type": "boolean"}},
    "required": ["items", "complete"],
}
_TEXT: Json = {
    "type": "object",
    "title": "Text",
    "properties": {"text": {"type": "string"}, "complete": {"type": "boolean"}},
    "required": ["text", "complete"],
}
_BYTES: Json = {
    "type": "object",
    "title": "Bytes",
    "properties": {
        "media_type": {"type": "string"},
        "size": {"type": "integer"},
        "base64": {"type": "string", "contentEncoding": "base64"},
    },
    "required": ["media_type", "size", "base64"],
}


def input_schema(operation: Operation) -> Json:
    """What a call of the operation's tool takes: all its fields, wherever they travel over HTTP."""
    schema: Json = _bare(operation.input.model_json_schema(by_alias=True, mode="validation"))
    schema.setdefault("properties", {})
    schema["additionalProperties"] = False
    return {"$schema": DIALECT, "type": "object", **schema}


def output_schema(operation: Operation) -> Json:
    """What the tool answers with: the result or a problem."""
    result: Json = _bare(_result(operation))
    defs = {**result.pop("$defs", {}), "Problem": _PROBLEM}
    name = "Answer" if "Result" in defs else "Result"
    return {
        "$schema": DIALECT,
        "type": "object",
        "anyOf": [{"$ref": f"#/$defs/{name}"}, {"$ref": "#/$defs/Problem"}],
        "$defs": {name: result, **defs},
    }


def _result(operation: Operation) -> Json:
    if operation.output is None:
        kinds = {stream.media_type for stream in operation.streams}
        if not kinds:
            return dict(_NOTHING)
        return dict(_ITEMS if NDJSON in kinds else _TEXT if TEXT in kinds else _BYTES)
    schema = operation.output.model_json_schema(mode="serialization")
    if set(schema) <= {"$ref", "$defs"}:  # a model that refers to itself
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return {**schema["$defs"][name], "$defs": schema["$defs"]}
    if schema.get("type") != "object":
        raise TypeError(f"{operation.name}: a result must be an object")
    return schema


def _bare(part: Any) -> Any:
    """Without the titles that only repeat names: every client loads all schemas, and models read them."""
    if isinstance(part, dict):
        kept = {key: value for key, value in part.items() if key != "title" or not isinstance(value, str)}
        return {key: value if key in _AS_IT_IS else _bare(value) for key, value in kept.items()}
    return [_bare(each) for each in part] if isinstance(part, list) else part
