"""What a field takes, in the words of the doors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import AwareDatetime, BaseModel, Field

from att.fields import Shape, shape, trailing, wire_name
from att.rooms import catalogue


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    name: str = Field(alias="called")


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        (int, Shape(int)),
        (bool, Shape(bool)),
        (str, Shape(str)),
        (Path, Shape(Path)),
        (datetime, Shape(datetime)),
        (AwareDatetime, Shape(datetime)),
        (AwareDatetime | None, Shape(datetime, optional=True)),
        (int | None, Shape(int, optional=True)),
        (Optional[float], Shape(float, optional=True)),  # noqa: UP045
        (Annotated[int | None, Field(ge=1)], Shape(int, optional=True)),
        (list[int], Shape(int, many=True)),
        (tuple[str, ...], Shape(str, many=True)),
        (list, Shape(str, many=True)),
        (set[Colour] | None, Shape(Enum, True, True, ("red", "blue"))),
        (Colour, Shape(Enum, choices=("red", "blue"))),
        (Literal["a", "b"], Shape(Enum, choices=("a", "b"))),
        (list[Annotated[Literal["a"], Field()]], Shape(Enum, True, False, ("a",))),
        (int | str, Shape(str)),
        (int | list[int], Shape(dict)),
        (dict[str, int], Shape(dict)),
        (Mapping[str, Any], Shape(dict)),
        (Part, Shape(dict)),
        (list[Part], Shape(dict)),
        (list[list[int]], Shape(dict)),
        (Any, Shape(dict)),
    ],
)
def test_the_shape_of_a_type(annotation: Any, found: Shape) -> None:
    assert shape(annotation) == found


def test_a_field_travels_under_its_alias() -> None:
    assert wire_name("name", Part.model_fields["name"]) == "called"
    assert wire_name("id", Field()) == "id"


def test_paths_of_a_project_are_typed_behind_the_other_words() -> None:
    def last(operation: str) -> str | None:
        found = catalogue()[operation]
        return trailing(found.input.model_fields, found.positional)

    assert [last(name) for name in ("git.add", "git.log", "test.run")] == ["path", "path", "paths"]
    assert [last(name) for name in ("code.read", "project.create", "git.push")] == [None, None, None]
