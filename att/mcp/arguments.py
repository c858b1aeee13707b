"""From the arguments of a tool to the input model of its operation: read as the HTTP door reads them, so refused alike.

The fields of the path and the query are told there as text, those of the body as JSON; so a tool's arguments are divided in
the same way and read by the same reader. Does no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Formatter
from typing import Any

from multidict import MultiDict
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from att.catalogue import Operation
from att.fields import wire_name
from att.http.answering import plain
from att.http.asking import Asking, invalid
from att.http.openapi import API

_NO_TEXT = "This must be a text, a number or a truth value."


class Arguments:
    """Reads the arguments of one tool."""

    def __init__(self, operation: Operation) -> None:
        fields = operation.input.model_fields
        self._asking = Asking(operation)
        self._template = API + operation.at_also().path  # as the command line asks
        self._path = tuple(operation.path_fields)
        self._query = frozenset(wire_name(name, fields[name]) for name in operation.query_fields)

    def read(self, given: Mapping[str, Any]) -> BaseModel:
        """The input. `InvalidRequest` with the failing fields, as over HTTP."""
        path: dict[str, str] = {}
        query: MultiDict[str] = MultiDict()
        body: dict[str, Any] = {}
        faults: list[dict[str, str]] = []
        for name, value in given.items():
            if name in self._path:
                if value is not None:
                    path[name] = _text(name, value, "path", faults)
            elif name in self._query or not self._asking.takes_body:
                for each in value if isinstance(value, list) else [] if value is None else [value]:
                    query.add(name, _text(name, each, "query", faults))
            else:
                body[name] = value
        if faults:
            raise invalid(faults)
        raw = _written(body) if body else b""
        return self._asking.read(path, query, "%EF%BF%BD", raw)  # a replacement character is meant

    def instance(self, given: Mapping[str, Any]) -> str:
        """The address of the same question over HTTP."""
        parts = []
        for literal, name, _, _ in Formatter().parse(self._template):
            parts.append(literal)
            if name:
                parts.append(str(given[name]) if name in given else f"{{{name}}}")
        return plain("".join(parts))[:2000]


def _written(body: dict[str, Any]) -> bytes:
    """As JSON again; what it cannot carry is left to the reader to refuse."""
    try:
        return to_json(body, inf_nan_mode="constants")
    except PydanticSerializationError:  # half a character
        return json.dumps(body).encode()


def _text(name: str, value: object, where: str, faults: list[dict[str, str]]) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if where == "query" and isinstance(value, dict):
        return json.dumps(value)
    faults.append({"field": name[:200], "in": where, "message": _NO_TEXT})
    return ""
