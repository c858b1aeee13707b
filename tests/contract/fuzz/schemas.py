"""Values that fit a JSON schema, as far as the schemas of our tools go, and values that do not.

What a schema says with a word that is not known here fails loudly, so nothing is generated past it unnoticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]
SAID = {"title", "description", "default", "examples", "$defs", "discriminator", "deprecated"}
TEXT = st.characters(codec="utf-8")
LONGEST = 60  # of a text or a list, unless it must be longer
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(TEXT, max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXT, max_size=8), inner, max_size=3),
    max_leaves=6,
)
FORMATS = {
    "date-time": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    "path": st.text(TEXT, max_size=LONGEST),
    "path-or-name": st.text(TEXT, min_size=1, max_size=LONGEST),
}


def fitting(schema: Schema, whole: Schema) -> st.SearchStrategy[Any]:
    """Values of this schema; `whole` holds what it refers to."""
    if "$ref" in schema:
        return fitting(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return st.one_of([fitting(each, whole) for each in schema[word]])
    kind = schema.get("type")
    if kind is None:
        unknown = schema.keys() - SAID
        assert not unknown, f"unknown words: {unknown}"
        return JUNK
    return _KINDS[kind](schema, whole)


def _text(schema: Schema, whole: Schema) -> st.SearchStrategy[Any]:
    if "format" in schema:
        return FORMATS[schema["format"]]
    least, most = schema.get("minLength", 0), schema.get("maxLength", LONGEST)
    if "pattern" in schema:
        found = st.from_regex(schema["pattern"].replace("$", r"\Z"), alphabet=TEXT)
        return found.filter(lambda text: least <= len(text) <= most)
    return st.text(TEXT, min_size=least, max_size=max(least, min(most, LONGEST)))


def _number(schema: Schema, whole: Schema) -> st.SearchStrategy[Any]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        least = schema["exclusiveMinimum"]
    return st.floats(
        least, most, allow_nan=False, allow_infinity=False, exclude_min="exclusiveMinimum" in schema
    )


def _list(schema: Schema, whole: Schema) -> st.SearchStrategy[Any]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", 4)
    return st.lists(
        fitting(schema.get("items", {}), whole), min_size=least, max_size=max(least, min(most, 4))
    )


def _object(schema: Schema, whole: Schema) -> st.SearchStrategy[Any]:
    fields = {name: fitting(each, whole) for name, each in schema.get("properties", {}).items()}
    needed = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: each for name, each in fields.items() if name in needed},
        optional={name: each for name, each in fields.items() if name not in needed},
    )


_KINDS = {
    "string": _text,
    "integer": lambda schema, whole: st.integers(schema.get("minimum"), schema.get("maximum")),
    "number": _number,
    "boolean": lambda schema, whole: st.booleans(),
    "null": lambda schema, whole: st.none(),
    "array": _list,
    "object": _object,
}


@st.composite
def broken(draw: st.DrawFn, schema: Schema) -> Any:
    """Arguments with one thing that nobody declared, lacking, or of any kind; or no arguments at all."""
    given = draw(fitting(schema, schema))
    names = sorted(schema.get("properties", {}))
    way = draw(st.sampled_from(["unknown", "lacking", "any", "nothing"] if names else ["unknown", "nothing"]))
    if way == "unknown":
        return {**given, draw(st.text(TEXT, min_size=1, max_size=12)): draw(JUNK)}
    if way == "nothing":
        return draw(JUNK)
    name = draw(st.sampled_from(names))
    if way == "lacking":
        return {key: value for key, value in given.items() if key != name}
    return {**given, name: draw(JUNK)}
