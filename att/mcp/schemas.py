"""JSON schemas of tools, made from the models of the operations: each complete in itself, in the dialect of 2020-12.

That dialect is what the protocol means where none is named. A tool answers with its result or, as a tool error, with a problem (RFC
9457: a stable code for programs, a hint of what to do). Some clients check both against the output schema, so it allows both; what
a problem says is told once, in the instructions of the server. Does no I/O.
"""

from __future__ import annotations

from typing import Any

from att.catalogue import Operation
from att.http.streams import NDJSON, TEXT
from att.mcp import compact

Json = dict[str, Any]
_PROBLEM: Json = {"required": ["title", "status", "detail", "code", "hint"]}
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
    schema = compact.asked(operation.input.model_json_schema(by_alias=True, mode="validation"))
    schema.setdefault("properties", {})
    schema["additionalProperties"] = False
    return {"type": "object", **schema}


def output_schema(operation: Operation) -> Json:
    """What the tool answers with: the result or a problem."""
    result = compact.answered(_result(operation))
    defs = result.pop("$defs", None)
    del result["type"]  # it stands once, for both
    whole: Json = {"type": "object", "anyOf": [result, _PROBLEM]}
    return {**whole, "$defs": defs} if defs else whole


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
