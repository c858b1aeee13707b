"""A JSON schema in the few words that a table has room for. Pure."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}
_SHORT = 60


def type_of(schema: Json) -> str:
    """`integer`, `string or null`, `list of Line`, `one of a, b`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_of(each) for each in schema[key]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'])}"
    if schema.get("format") == "date-time":
        return "time"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def bounds_of(schema: Json) -> str:
    """What holds of the value beside its type, for example `≥ 1, ≤ 1000`."""
    parts = [schema, *(each for each in schema.get("anyOf", ()) if each.get("type") != "null")]
    found = {
        words.format(part[key]): None
        for part in parts
        for key, words in _BOUNDS.items()
        if key in part and abs(part[key]) < 2**62
    }
    return ", ".join(found)


def default_of(schema: Json) -> str:
    """What holds when the field is left out, as JSON; empty when it has no default or that says nothing."""
    if schema.get("default") in (None, "", [], {}):
        return ""
    told = json.dumps(schema["default"], ensure_ascii=False)
    return told if len(told) <= _SHORT else told[: _SHORT - 1] + "…"
