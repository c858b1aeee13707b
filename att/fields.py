"""What a field of an input model takes, in the few words that the doors need.

A door has text in its hands (a query, a path, an argument on a terminal) and must know whether a field takes one value
or many, a choice of few, or something nested that is better told as JSON. Pure.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, FutureDatetime, NaiveDatetime, PastDatetime
from pydantic.fields import FieldInfo

_MANY = (list, tuple, set, frozenset, Collection, typing.Collection)
_TIMES: tuple[Any, ...] = (
    AwareDatetime,
    NaiveDatetime,
    PastDatetime,
    FutureDatetime,
)  # no subclasses of datetime
_PLAIN = (bool, int, float, str, datetime, Path)

USUAL = {
    "project_id": "The project's id.",
    "run_id": "The run's id.",
    "cursor": "Where to go on: a cursor of an earlier answer.",
    "limit": "How many at most.",
    "wait": "Seconds to wait for it.",
    "timeout": "Seconds after which it is given up.",
}
"""For fields that mean the same everywhere and say nothing themselves."""

PATHS = ("path", "paths")


@dataclass(frozen=True, slots=True)
class Shape:
    """`kind` is one of bool, int, float, str, datetime, Path, Enum (with `choices`), or dict for all that is nested."""

    kind: type
    many: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()


def shape(annotation: Any) -> Shape:
    """The shape of a field of this type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return shape(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        inside = [each for each in get_args(annotation) if each is not type(None)]
        found = shape(inside[0]) if len(inside) == 1 else _widest([shape(each) for each in inside])
        optional = len(inside) < len(get_args(annotation))
        return Shape(found.kind, found.many, optional or found.optional, found.choices)
    if origin is Literal:
        return Shape(Enum, choices=tuple(str(each) for each in get_args(annotation)))
    if origin in _MANY:
        inner = shape(next(iter(get_args(annotation)), str))
        return (
            Shape(dict) if inner.many or inner.kind is dict else Shape(inner.kind, True, False, inner.choices)
        )
    if annotation in _MANY:
        return Shape(str, many=True)
    if isinstance(annotation, type) and annotation is not Any:
        return _plain(annotation)
    return Shape(dict)


def trailing(fields: Mapping[str, FieldInfo], positional: Collection[str]) -> str | None:
    """The field that is typed without its flag too, behind the positional ones: a project's paths, as one types them to git."""
    if "project_id" not in fields:
        return None
    return next((name for name in PATHS if name in fields and name not in positional), None)


def _plain(kind: type) -> Shape:
    if issubclass(kind, Enum):
        return Shape(Enum, choices=tuple(str(each.value) for each in kind))
    if issubclass(kind, BaseModel | Mapping):
        return Shape(dict)
    if kind in _TIMES:
        return Shape(datetime)
    return Shape(next((plain for plain in _PLAIN if issubclass(kind, plain)), str))


def _widest(shapes: list[Shape]) -> Shape:
    """A union of several types is told as text when none of them is nested, else as JSON."""
    nested = any(each.kind is dict or each.many for each in shapes)
    return Shape(dict) if nested else Shape(str)


def wire_name(name: str, info: FieldInfo) -> str:
    """The name under which the field travels."""
    alias = info.validation_alias or info.alias
    return alias if isinstance(alias, str) else name
