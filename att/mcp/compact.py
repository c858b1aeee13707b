"""Says what a JSON schema says in fewer bytes, with nothing lost: every client loads the schemas of all tools. Does no I/O.

Left out: titles that only repeat names, and what is so anyhow (`additionalProperties: true`). A definition that is used once stands
where it is used, which also helps clients that follow no references. Of results, "a text or null" is one word, and there are
no defaults, since a result always says all. In what a call takes, "or null" stays as it is: some programs refuse a list of types.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

Json = dict[str, Any]
_VALUES = frozenset({"default", "const", "enum", "examples", "required"})  # no schemas in them
_NAMED = frozenset(
    {"properties", "patternProperties", "$defs", "dependentSchemas"}
)  # schemas below names of any kind
_BEFORE = "#/$defs/"


def asked(schema: Json) -> Json:
    """The schema of what a call takes."""
    return _placed(_each(schema, answer=False))


def answered(schema: Json) -> Json:
    """The schema of a result."""
    return _placed(_each(schema, answer=True))


def _each(part: Any, *, answer: bool) -> Any:
    """A schema, or a list of some, without what says nothing."""
    if isinstance(part, list):
        return [_each(one, answer=answer) for one in part]
    if not isinstance(part, dict):
        return part
    found: Json = {}
    for key, value in part.items():
        if key in _NAMED and isinstance(value, dict):
            found[key] = {name: _each(one, answer=answer) for name, one in value.items()}
        elif key in _VALUES:
            found[key] = value
        elif not (key == "title" or (key == "additionalProperties" and value is True)):
            found[key] = _each(value, answer=answer)
    if answer:
        found.pop("default", None)
        return _short_null(found)
    return found


def _short_null(schema: Json) -> Json:
    """`anyOf` of one plain type and null as one list of types, where that means the same."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or len(choices) != 2 or choices[1] != {"type": "null"}:
        return schema
    plain, rest = choices[0], {key: value for key, value in schema.items() if key != "anyOf"}
    simple = isinstance(plain.get("type"), str) and not plain.keys() & {
        "const",
        "enum",
        "$ref",
        "anyOf",
        "allOf",
    }
    return (
        {**rest, **plain, "type": [plain["type"], "null"]}
        if simple and not rest.keys() & plain.keys()
        else schema
    )


def _placed(schema: Json) -> Json:
    """Each definition that is used once at its place; those used more often stay."""
    defs: Json = schema.pop("$defs", {})
    for name in list(defs):
        used = Counter(_references([schema, *defs.values()]))[name]
        if used <= 1 and name not in _references(defs[name]):
            definition = defs.pop(name)
            if used and not _put([schema, *defs.values()], name, definition):
                defs[name] = definition
    return {**schema, "$defs": defs} if defs else schema


def _references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [name for one in part for name in _references(one)]
    if not isinstance(part, dict):
        return []
    found = [name for key, one in part.items() if key not in _VALUES for name in _references(one)]
    here = part.get("$ref")
    return [*found, here.removeprefix(_BEFORE)] if isinstance(here, str) else found


def _put(part: Any, name: str, definition: Json) -> bool:
    """Whether the reference to `name` was found in `part`, and the definition could be put there."""
    if isinstance(part, list):
        return any(_put(one, name, definition) for one in part)
    if not isinstance(part, dict):
        return False
    if part.get("$ref") == f"{_BEFORE}{name}":
        if (part.keys() - {"$ref"}) & definition.keys():
            return False  # both say something of one kind
        del part["$ref"]
        part.update(definition)
        return True
    return any(_put(one, name, definition) for key, one in part.items() if key not in _VALUES)
