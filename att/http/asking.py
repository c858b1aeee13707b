"""From a request to the input model of an operation: what is taken from where, and how strictly.

Path and query are text, so they are read leniently ("5" is a number, "1" is true); a JSON body has types, so it is read
strictly (the text "5" is no number there). Each name is known in one place only: a body field in the query is an
unknown field. What no operation can take is refused here for all of them: a key given twice, NUL and broken UTF-8 in
path and query, numbers beyond 64 bits, NaN and infinity, a body with too many values. Everything is looked up once per
operation; no I/O.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any

from multidict import MultiMapping
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import SchemaValidator, from_json

from att.bulk import LARGE
from att.catalogue import Operation, headers_of
from att.fields import shape, wire_name
from att.http.errors import MalformedJson
from att.http.heavy import beside_texts
from att.problems import InvalidRequest

Fault = dict[str, str]
_UNKNOWN = "This field is not known here."
LIMIT = 2**63
_SUSPECT = re.compile(
    rb"[0-9]{19}|[eE]\+?[0-9]{3}"
)  # only then are the numbers of a body looked at one by one
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")  # else a bare number would count as seconds since 1970
MOST_FAULTS = 100
"""That are told of one request: a body may hold a million."""
_TOO_LARGE = "The number is beyond what can be kept."


class Asking:
    """Reads the input of one operation."""

    def __init__(self, operation: Operation) -> None:
        fields = operation.input.model_fields
        names = {name: wire_name(name, info) for name, info in fields.items()}
        self.model = operation.input
        self._path = frozenset(operation.path_fields)
        self._query = {names[n]: shape(fields[n].annotation).many for n in operation.query_fields}
        self._body = frozenset(names[n] for n in operation.body_fields)
        self._where = {wire: "body" if wire in self._body else "query" for wire in names.values()}
        self._where |= dict.fromkeys(self._path, "path")
        self._numbers = tuple(
            (name, names[name])
            for name, info in fields.items()
            if name not in operation.body_fields and shape(info.annotation).kind in (int, float)
        )
        self._times = frozenset(
            names[n] for n in operation.query_fields if shape(fields[n].annotation).kind is datetime
        )
        self._headers = tuple((names[name], header) for name, header in headers_of(operation.input).items())
        self.takes_body = bool(self._body)
        self._operation = operation

    @cached_property
    def _gate(self) -> SchemaValidator:
        """Made for the first body that comes: a start would pay for that of every operation."""
        return _gate(self._operation)

    def read(
        self,
        path: Mapping[str, str],
        query: MultiMapping[str],
        raw_query: str,
        body: bytes,
        headers: MultiMapping[str] | None = None,
    ) -> BaseModel:
        """The input. `InvalidRequest` with the failing fields, `MalformedJson` when the body is none, `BodyTooLarge` when
        it has too many values."""
        faults: list[Fault] = []
        values: dict[str, Any] = dict(path)
        if query:
            self._take_query(query, "%EF%BF%BD" in raw_query.upper(), values, faults)
        for name, value in path.items():
            if not _clean(value):
                faults.append(_fault(name, "path", "This is not plain text in UTF-8."))
        if body:
            self._take_body(body, values, faults)
        elif self.takes_body:
            self._check_body(b"{}", faults)
        if self._headers and headers is not None:
            self._take_headers(headers, values, faults)
        try:
            ask = self.model.model_validate(values)
        except ValidationError as error:
            named = {fault["field"].partition(".")[0] for fault in faults}
            told = [self._told(each) for each in error.errors(include_url=False)]
            faults += [fault for fault in told if fault["field"].partition(".")[0] not in named]
        if faults:
            raise invalid(faults)
        for name, wire in self._numbers:
            if not _countable(getattr(ask, name)):
                raise invalid([_fault(wire, self._where[wire], _TOO_LARGE)])
        return ask

    def _take_query(
        self, query: MultiMapping[str], replacement_meant: bool, values: dict[str, Any], faults: list[Fault]
    ) -> None:
        for name in dict.fromkeys(query):
            given = query.getall(name)
            many = self._query.get(name)
            if many is None:
                faults.append(_fault(name, "query", _UNKNOWN))
            elif not many and len(given) > 1:
                faults.append(_fault(name, "query", "This field is given more than once."))
            elif not all(_clean(v) and (replacement_meant or "\ufffd" not in v) for v in given):
                faults.append(_fault(name, "query", "This is not plain text in UTF-8."))
            elif name in self._times and not all(map(_TIME.match, given)):
                faults.append(_fault(name, "query", "This is not a time such as 2026-11-21T14:00:00Z."))
            else:
                values[name] = given if many else given[0]

    def _take_headers(self, headers: MultiMapping[str], values: dict[str, Any], faults: list[Fault]) -> None:
        """Fields that came as headers; one that came both ways must be the same."""
        for name, header in self._headers:
            if header not in headers:
                continue
            given = ", ".join(headers.getall(header))
            if not _clean(given):
                faults.append(_fault(name, "header", "This is not plain text in UTF-8."))
            elif values.get(name) not in (None, given):
                faults.append(_fault(name, "header", f"This differs from the header {header}."))
            else:
                values[name] = given

    def _take_body(self, raw: bytes, values: dict[str, Any], faults: list[Fault]) -> None:
        beside = raw if len(raw) <= LARGE else beside_texts(raw)
        try:
            data = from_json(raw, allow_inf_nan=False)
        except ValueError as error:
            raise MalformedJson(f"The body is not valid JSON: {error}.") from None
        if not isinstance(data, dict):
            raise invalid([_fault("", "body", "The body must be a JSON object.")])
        if _SUSPECT.search(beside):
            faults.extend(
                _fault(where, "body", _TOO_LARGE) for where in islice(_uncountable(data, ""), MOST_FAULTS)
            )
        unknown = sorted(islice((name for name in data if name not in self._body), MOST_FAULTS))
        if not self.takes_body or len(unknown) == MOST_FAULTS:  # of a million, the gate would tell a million
            faults.extend(_fault(name, "body", _UNKNOWN) for name in unknown)
        if len(unknown) == MOST_FAULTS:
            raise invalid(faults)
        self._check_body(raw, faults)
        values.update((name, value) for name, value in data.items() if name in self._body)

    def _check_body(self, raw: bytes, faults: list[Fault]) -> None:
        if self.takes_body:
            try:
                self._gate.validate_json(raw)
            except ValidationError as error:
                found = error.errors(include_url=False)
                faults.extend(self._told(each, "body") for each in found if not _whole(each))

    def _told(self, error: Any, where: str = "") -> Fault:
        location = [str(part) for part in error["loc"]]
        message = str(error["msg"]).removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            message = _UNKNOWN
        return _fault(
            ".".join(location), where or self._where.get(location[0] if location else "", "body"), message
        )


def invalid(faults: list[Fault]) -> InvalidRequest:
    """The problem that names all the faults, with the first in its sentence."""
    first = faults[0]
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    name = f"`{first['field']}`: " if first["field"] else ""
    return InvalidRequest(f"{name}{first['message'].rstrip('.')}.{more}", fields=faults[:MOST_FAULTS])


def _gate(operation: Operation) -> SchemaValidator:
    """Checks the types of a body strictly. Fields whose own validators take other forms are left to these."""
    own = {
        name
        for validator in operation.input.__pydantic_decorators__.field_validators.values()
        if validator.info.mode != "after"
        for name in validator.info.fields
    }
    parts: dict[str, Any] = {}
    for name in operation.body_fields:
        info = operation.input.model_fields[name]
        parts[name] = (Any if name in own else info.annotation, info)
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, defer_build=False)
    gate = create_model(f"{operation.input.__name__}Body", __config__=config, **parts)
    validator = gate.__pydantic_validator__
    if not isinstance(validator, SchemaValidator):
        raise TypeError(f"{operation.name}: the input model is not complete")
    return validator


def _whole(error: Any) -> bool:
    """Whether it is only about 85.0 for 85, which JSON does not tell apart."""
    given = error["input"]
    return error["type"] == "int_type" and isinstance(given, float) and given.is_integer()


def _fault(field: str, where: str, message: str) -> Fault:
    field = field[:200].encode("utf-8", "replace").decode()
    return {"field": field, "in": where, "message": message}


def _clean(text: str) -> bool:
    """No NUL, and nothing that cannot be written as UTF-8."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _countable(value: object) -> bool:
    if isinstance(value, int):
        return -LIMIT <= value < LIMIT
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple | set | frozenset):
        return all(_countable(each) for each in value)
    return True


def _uncountable(data: Any, where: str) -> Iterator[str]:
    """Where in a JSON value a number stands that is too large."""
    if isinstance(data, dict):
        for k, v in data.items():
            yield from _uncountable(v, f"{where}.{k}" if where else str(k))
    elif isinstance(data, list):
        for i, v in enumerate(data):
            yield from _uncountable(v, f"{where}.{i}")
    elif not _countable(data):
        yield where
