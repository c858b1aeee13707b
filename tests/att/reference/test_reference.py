"""The reference names everything that there is, and the copy in the repository is the one of today."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.config import Settings
from att.event.types import FAMILIES, TYPES
from att.http.docs import page, text
from att.problems import Problem
from att.reference.types import bounds_of, default_of, type_of
from att.rooms import ROOMS, catalogue

ROOT = Path(__file__).parents[3]
OPERATIONS = list(catalogue())
# Words in the form of an event's type that stand for something else.
OTHERWISE = re.compile(
    r"^(launcher|release)\.(ndjson|json|journal|protocol|pyz)$|^build\.log$|^runtime\.(host|wanted|launcher|environment\.nat)$"
)
KINDS = "|".join(sorted({name.split(".")[0] for name in TYPES}))


@pytest.fixture(scope="module")
def reference() -> str:
    return text(OPERATIONS, "")


def test_it_is_the_one_of_today(reference: str) -> None:
    """Run scripts/docs when this fails."""
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == reference


def test_every_operation_has_its_address_command_and_tool(reference: str) -> None:
    for operation in OPERATIONS:
        part = reference.split(f"#### `{operation.name}`\n")[1].split("\n####")[0]
        assert f"`{operation.method} /api/v1{operation.path}`" in part
        assert f"`att {operation.room} " in part or operation.name == operation.room
        assert f"`att_{operation.name.replace('.', '_')}`" in part
        for name in operation.input.model_fields:
            assert f"`{operation.input.model_fields[name].alias or name}`" in part, (operation.name, name)
        assert operation.summary in part


def test_every_code_that_an_operation_declares_is_told_with_its_remedy(reference: str) -> None:
    errors = reference.split("\n## Errors\n")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| \d+ \| .*? \| (.*) \|$", errors, re.MULTILINE))
    declared: dict[str, type[Problem]] = {kind.code: kind for each in OPERATIONS for kind in each.errors}
    assert declared.keys() <= told.keys()
    assert all(told.values())


def test_every_setting_is_told(reference: str) -> None:
    settings = reference.split("\n## Settings\n")[1]
    assert re.findall(r"^\| `(\w+)` \|", settings, re.MULTILINE) == list(Settings.model_fields)


def _words() -> Iterator[str]:
    """Every text in the source that has the form of an event's type."""
    form = re.compile(rf"({KINDS})(\.[a-z_]+)+")
    for file in (ROOT / "att").rglob("*.py"):
        if {"templates", "mcp", "reference"} & set(file.parts) or file.name == "types.py":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            word = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if form.fullmatch(word) and not OTHERWISE.match(word):
                yield word


def test_every_type_of_event_is_told_and_no_other(reference: str) -> None:
    named = {name for each in OPERATIONS for name in (each.name, *each.aliases, each.progress)}
    used = set(_words()) - named
    assert used - TYPES.keys() == set()
    made_up = {"workflow", "release"}  # families whose last word is that of a state
    unused = {name for name in TYPES if name.split(".")[0] not in made_up} - set(_words())
    assert unused == set()
    events = reference.split("\n## Events\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([\w.*]+)` \|", events, re.MULTILINE) == [*TYPES, *FAMILIES]


def test_the_page_holds_all_of_it_and_nothing_from_elsewhere() -> None:
    html = page(OPERATIONS, "1.2.3").decode()
    assert "1.2.3" in html
    for operation in OPERATIONS:
        assert f'href="#{operation.name}"' in html
        assert f'id="{operation.name}"' in html
    for name in ROOMS:
        assert f'id="{name}"' in html
    assert not re.search(r"(src|href)=\"(?!#)", html)
    assert "url(" not in html


@given(
    st.recursive(
        st.sampled_from(
            [
                {"type": "string"},
                {"type": "integer", "minimum": 1},
                {"enum": ["a", "b"]},
                {"$ref": "#/x/Line"},
                {},
            ]
        ),
        lambda inner: st.one_of(
            inner.map(lambda each: {"type": "array", "items": each}),
            inner.map(lambda each: {"type": "object", "additionalProperties": each}),
            st.lists(inner, min_size=1, max_size=3).map(lambda all_of: {"anyOf": all_of}),
        ),
        max_leaves=6,
    )
)
def test_any_schema_has_words(schema: dict[str, object]) -> None:
    assert type_of(schema)
    assert "\n" not in type_of(schema) + bounds_of(schema) + default_of(schema)
