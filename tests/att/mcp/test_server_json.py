"""`server.json` keeps the rules of the registry (schema of 2025-12-11), and tells of this version of this package.

The rules are written here in our own words, not copied: what must be there, of which form, how long at most.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from att.cli.main import build
from att.config import OTHER_VARIABLES, Settings

ROOT = Path(__file__).parents[3]
TOLD: dict[str, Any] = json.loads((ROOT / "server.json").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

TEXT = {"type": "string", "minLength": 1}
INPUT = {
    "description": TEXT,
    "value": {"type": "string"},
    "default": {"type": "string"},
    "placeholder": {"type": "string"},
    "format": {"enum": ["string", "number", "boolean", "filepath"]},
    "isRequired": {"type": "boolean"},
    "isSecret": {"type": "boolean"},
    "choices": {"type": "array", "items": {"type": "string"}},
}
ARGUMENT = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["positional", "named"]}},
    "oneOf": [
        {"properties": {"type": {"const": "named"}}, "required": ["name"]},
        {
            "properties": {"type": {"const": "positional"}},
            "anyOf": [{"required": ["value"]}, {"required": ["valueHint"]}],
        },
    ],
}
VARIABLE = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": TEXT, **INPUT},
    "additionalProperties": False,
}
TRANSPORT = {
    "type": "object",
    "required": ["type"],
    "oneOf": [
        {"properties": {"type": {"const": "stdio"}}, "maxProperties": 1},
        {"properties": {"type": {"enum": ["streamable-http", "sse"]}}, "required": ["url"]},
    ],
}
PACKAGE = {
    "type": "object",
    "required": ["registryType", "identifier", "transport", "version"],
    "additionalProperties": False,
    "properties": {
        "registryType": {"enum": ["npm", "pypi", "oci", "nuget", "mcpb"]},
        "registryBaseUrl": {"type": "string", "pattern": "^https://"},
        "identifier": TEXT,
        "version": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$"},
        "runtimeHint": TEXT,
        "transport": TRANSPORT,
        "packageArguments": {"type": "array", "items": ARGUMENT},
        "runtimeArguments": {"type": "array", "items": ARGUMENT},
        "environmentVariables": {"type": "array", "items": VARIABLE},
    },
}
RULES = {
    "type": "object",
    "required": ["$schema", "name", "description", "version", "packages"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {"type": "string", "maxLength": 200, "pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$"},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": {
            "type": "string",
            "maxLength": 255,
            "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$",
        },
        "websiteUrl": {"type": "string", "pattern": "^https://"},
        "repository": {"type": "object", "required": ["url", "source"]},
        "packages": {"type": "array", "minItems": 1, "items": PACKAGE},
    },
}


def test_it_keeps_the_rules_of_the_registry() -> None:
    jsonschema.Draft202012Validator.check_schema(RULES)
    jsonschema.validate(TOLD, RULES)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["name"], "att"),
        (["description"], "x" * 101),
        (["version"], "^0.1.0"),
        (["packages", 0, "version"], "latest"),
        (["packages", 0, "transport"], {"type": "streamable-http"}),
        (["packages", 0, "packageArguments", 0], {"type": "positional"}),
        (["packages", 0, "environmentVariables", 0], {"value": "x"}),
        (["more"], 1),
    ],
)
def test_the_rules_refuse_what_the_registry_would(path: list[Any], value: Any) -> None:
    changed = json.loads(json.dumps(TOLD))
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, RULES)


def test_it_tells_of_this_version_of_this_package() -> None:
    (package,) = TOLD["packages"]
    assert TOLD["version"] == package["version"] == PROJECT["version"]
    assert package["identifier"] == PROJECT["name"]


def test_the_readme_proves_that_the_package_is_ours() -> None:
    assert re.findall(r"mcp-name: (\S+)", (ROOT / "README.md").read_text("utf-8")) == [TOLD["name"]]


def test_what_it_starts_is_a_command_and_what_it_sets_is_known() -> None:
    (package,) = TOLD["packages"]
    assert [argument["value"] for argument in package["packageArguments"]] == ["mcp"]
    assert "mcp" in build().list_commands(None)  # type: ignore[arg-type]
    known = OTHER_VARIABLES | {f"ATT_{name.upper()}" for name in Settings.model_fields}
    assert {variable["name"] for variable in package["environmentVariables"]} <= known
