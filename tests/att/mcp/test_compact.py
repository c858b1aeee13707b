"""Shorter schemas allow and refuse what the long ones do."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from att.mcp import compact, schemas
from att.rooms import catalogue

OPERATIONS = {operation.name: operation for operation in catalogue()}
WRONG = (None, "", "x" * 300, -1, [], {"x": {"y": 1}})


def valid(schema: Any, root: Any, depth: int = 0) -> Any:
    """Something that the schema allows, mostly."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]] | {
            k: v for k, v in schema.items() if k != "$ref"
        }
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return valid(schema[key][-1 if depth > 4 else 0], root, depth + 1)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            fields = {n: valid(s, root, depth + 1) for n, s in schema.get("properties", {}).items()}
            other = schema.get("additionalProperties")
            return fields | (
                {"other": valid(other, root, depth + 1)} if isinstance(other, dict) and depth < 6 else {}
            )
        case "array":
            return [valid(schema.get("items", {}), root, depth + 1)] if depth < 6 else []
        case "string":
            return "x" * max(1, schema.get("minLength", 1))
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return False
    return None


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in it, outermost first: what holds it, and by which key."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def others(value: Any) -> Iterator[Any]:
    """It, and what is like it but for one place."""
    yield value
    for number in range(len(list(places(value)))):
        for wrong in (*WRONG, ...):
            other = copy.deepcopy(value)
            holder, key = list(places(other))[number]
            if wrong is ... and isinstance(holder, dict):
                del holder[key]
            elif wrong is not ...:
                holder[key] = wrong
            yield other


def same(long: Any, short: Any) -> None:
    assert len(json.dumps(short)) <= len(json.dumps(long))
    jsonschema.Draft202012Validator.check_schema(short)
    old, new = (jsonschema.Draft202012Validator(schema) for schema in (long, short))
    verdicts = set()
    for instance in others(valid(long, long)):
        verdict = old.is_valid(instance)
        assert new.is_valid(instance) is verdict, instance
        verdicts.add(verdict)
    assert False in verdicts or not long.get("properties")


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_call_and_a_result_are_judged_as_by_the_long_schema(name: str) -> None:
    operation = OPERATIONS[name]
    taken = operation.input.model_json_schema(by_alias=True, mode="validation")
    same(taken, compact.asked(taken))
    told = schemas._result(operation)
    same(told, compact.answered(told))


def test_what_says_something_stays() -> None:
    long = {
        "title": "T",
        "type": "object",
        "properties": {
            "title": {"type": "string", "title": "Title", "description": "d", "default": "x"},
            "default": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}], "description": "n"},
            "once": {"$ref": "#/$defs/Once", "description": "here"},
            "told": {"$ref": "#/$defs/Told", "description": "here"},
            "twice": {"items": {"$ref": "#/$defs/Twice"}, "type": "array"},
            "free": {"type": "object", "additionalProperties": True},
        },
        "$defs": {
            "Once": {"enum": ["a"], "title": "Once"},
            "Told": {"enum": ["b"], "description": "there"},
            "Twice": {"type": "object", "properties": {"more": {"$ref": "#/$defs/Twice"}}},
            "Never": {"type": "null"},
        },
    }
    before = copy.deepcopy(long)
    assert compact.answered(long) == {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "d"},
            "default": {"type": ["string", "null"], "maxLength": 3, "description": "n"},
            "once": {"enum": ["a"], "description": "here"},
            "told": {"$ref": "#/$defs/Told", "description": "here"},
            "twice": {"items": {"$ref": "#/$defs/Twice"}, "type": "array"},
            "free": {"type": "object"},
        },
        "$defs": {
            "Told": {"enum": ["b"], "description": "there"},
            "Twice": {"type": "object", "properties": {"more": {"$ref": "#/$defs/Twice"}}},
        },
    }
    asked = compact.asked(long)["properties"]
    assert asked["title"]["default"] == "x" and "anyOf" in asked["default"]
    assert long == before
