"""The OpenAPI 3.1 document, made from the catalogue.

It says exactly what the routes take and answer: each parameter with its schema and place, each representation, each
declared problem with an example, and the problems that the door itself can answer with. Made when it is first asked for,
once, and kept as bytes with their ETag.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from att.catalogue import Effect, Operation, Scope, Stream, headers_of
from att.fields import shape, wire_name
from att.http import errors
from att.http.session import SignedIn, SignIn
from att.http.shapes import PROBLEM, SSE_MESSAGE, Json
from att.http.streams import FORMATS, SSE, TEXT
from att.problems import Forbidden, InvalidRequest, Problem, Unauthorized, Unavailable
from att.store.errors import DiskFull

API = "/api/v1"
_REF = "#/components/schemas/"
_PLAIN_TEXT = "^[^\\x00]*$"
_EVERYWHERE: tuple[type[Problem], ...] = (
    errors.BadRequest,
    Unauthorized,
    Forbidden,
    errors.ForeignOrigin,
    errors.MissingScope,
    errors.ForeignHost,
    InvalidRequest,
    Problem,
    Unavailable,
)
_WITH_BODY: tuple[type[Problem], ...] = (
    errors.MalformedJson,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
)


class Document:
    """The document's bytes, made when they are first asked for."""

    def __init__(self, operations: Sequence[Operation], version: str) -> None:
        self._operations = operations
        self._version = version
        self._made: tuple[bytes, str] | None = None
        self._lock = asyncio.Lock()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        async with self._lock:
            if self._made is None:
                document = await asyncio.to_thread(build, self._operations, self._version)
                body = json.dumps(document, separators=(",", ":")).encode()
                self._made = body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        body, etag = self._made
        headers = {"ETag": etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers={**headers, "Content-Type": "application/json"})


def build(operations: Sequence[Operation], version: str) -> Json:
    """The whole document as an object."""
    schemas = _Schemas(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        for each in (operation, operation.at_also()) if operation.also else (operation,):
            entry = _entry(each, schemas)
            entry["operationId"] += "" if each is operation else ".also"
            paths.setdefault(API + each.template, {})[operation.method.lower()] = entry
    paths[f"{API}/session"] = _session(schemas)
    this = _own("openapi", "This document.", "application/json", {"type": "object"})
    paths[f"{API}/openapi.json"] = {"get": this}
    paths["/metrics"] = {"get": _own("metrics", "Figures for Prometheus.", TEXT, {"type": "string"})}
    document: Json = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "ATT",
            "version": version or "0",
            "description": "Keeps one NVIDIA NeMo Agent Toolkit app running, and lets people and agents look after it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "tags": [{"name": name} for name in sorted({o.room for o in operations} | {"door"})],
        "paths": paths,
        "components": {
            "schemas": {},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The token of ATT_HOME/token."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "att_session",
                    "description": "Set by POST /session; the port of the daemon is appended to the name.",
                },
            },
        },
    }
    document["components"]["schemas"] = schemas.used_by(document)
    return document


class _Schemas:
    """The schemas of all models, under names that do not clash."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {
            (SignIn, "validation"): None,
            (SignedIn, "serialization"): None,
        }
        for operation in operations:
            wanted[operation.input, "validation"] = None
            if operation.output is not None:
                wanted[operation.output, "serialization"] = None
        self._refs, found = models_json_schema(list(wanted), ref_template=_REF + "{model}")
        self._all: Json = {**found.get("$defs", {}), "Problem": PROBLEM}

    def ref(self, model: type[BaseModel], mode: JsonSchemaMode) -> Json:
        return dict(self._refs[model, mode])

    def of(self, model: type[BaseModel]) -> Json:
        """The schema of an input model, in full."""
        found: Json = self._all[str(self._refs[model, "validation"]["$ref"]).removeprefix(_REF)]
        return found

    def used_by(self, document: Json) -> Json:
        """The named schemas that the document refers to, directly or not."""
        used: set[str] = set()
        queue = _names(document)
        while queue:
            name = queue.pop()
            if name not in used:
                used.add(name)
                queue |= _names(self._all[name])
        return {name: self._all[name] for name in sorted(used)}


def _names(part: Any) -> set[str]:
    if isinstance(part, dict):
        here = {part["$ref"].removeprefix(_REF)} if isinstance(part.get("$ref"), str) else set()
        return here.union(*(_names(each) for each in part.values()))
    if isinstance(part, list):
        return set().union(*(_names(each) for each in part))
    return set()


def _entry(operation: Operation, schemas: _Schemas) -> Json:
    schema = schemas.of(operation.input)
    entry: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.room],
        "x-att-effect": str(operation.effect),
        "x-att-scope": str(operation.scope),
        "x-att-idempotent": operation.idempotent,
        "responses": _responses(operation, schemas),
    }
    if operation.description:
        entry["description"] = operation.description
    if operation.scope is Scope.OPEN:
        entry["security"] = [{}, {"bearer": []}, {"session": []}]
    parameters = [_parameter(operation, name, "path", schema) for name in operation.path_fields]
    parameters += [_parameter(operation, name, "query", schema) for name in operation.query_fields]
    parameters += [_header(operation, *each, schema) for each in headers_of(operation.input).items()]
    if operation.streams and "format" not in operation.input.model_fields:
        parameters.append(_format(operation))
    if parameters:
        entry["parameters"] = parameters
    if operation.body_fields:
        entry["requestBody"] = _body(operation, schema)
    return entry


def _parameter(operation: Operation, name: str, where: str, schema: Json) -> Json:
    info = operation.input.model_fields[name]
    wire = wire_name(name, info)
    told = _as_text(copy.deepcopy(schema["properties"][wire]))
    parameter: Json = {"name": wire, "in": where, "required": where == "path" or info.is_required()}
    if described := told.pop("description", None):
        parameter["description"] = described
    if (examples := told.pop("examples", None)) is not None:
        parameter["examples"] = {f"example {i + 1}": {"value": each} for i, each in enumerate(examples)}
    told.pop("title", None)
    if where == "path":
        told.pop("default", None)
        if told.get("type") == "string":
            told.setdefault("minLength", 1)
    if shape(info.annotation).many:
        parameter |= {"style": "form", "explode": True}
    parameter["schema"] = told
    return parameter


def _header(operation: Operation, name: str, header: str, schema: Json) -> Json:
    """A field that may also come as a header."""
    wire = wire_name(name, operation.input.model_fields[name])
    told = _as_text(copy.deepcopy(schema["properties"][wire]))
    described = told.pop("description", "")
    told.pop("title", None)
    if told.get("pattern") == _PLAIN_TEXT:
        told["pattern"] = "^[!-~]*$"
    return {
        "name": header,
        "in": "header",
        "required": False,
        "description": f"The same as the field `{wire}`. {described}".strip(),
        "schema": told,
    }


def _as_text(schema: Json) -> Json:
    """The schema of a value that travels as text: there is no null, no NUL, and numbers have 64 bits."""
    if "anyOf" in schema:
        kept = [_as_text(each) for each in schema["anyOf"] if each.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        if rest.get("default", "") is None:
            del rest["default"]
        return {**rest, **kept[0]} if len(kept) == 1 else {**rest, "anyOf": kept}
    kind = schema.get("type")
    if kind == "string" and not {"pattern", "format", "enum", "const"} & schema.keys():
        schema["pattern"] = _PLAIN_TEXT
    elif kind == "integer":
        schema.setdefault("format", "int64")
        if "exclusiveMinimum" not in schema:
            schema.setdefault("minimum", -(2**63))
        if "exclusiveMaximum" not in schema:
            schema.setdefault("maximum", 2**63 - 1)
    elif kind == "array" and isinstance(schema.get("items"), dict):
        schema["items"] = _as_text(schema["items"])
    return schema


def _format(operation: Operation) -> Json:
    kinds = {stream.media_type for stream in operation.streams}
    names = [name for name, kind in FORMATS.items() if kind in kinds or (name == "json" and operation.output)]
    return {
        "name": "format",
        "in": "query",
        "required": False,
        "description": "The representation, for clients that cannot set `Accept`. All but json go on without end.",
        "schema": {"type": "string", "enum": names},
    }


def _body(operation: Operation, schema: Json) -> Json:
    fields = operation.input.model_fields
    wires = [wire_name(name, fields[name]) for name in operation.body_fields]
    required = [wire for wire in schema.get("required", []) if wire in wires]
    body: Json = {
        "type": "object",
        "properties": {wire: _in_64_bits(copy.deepcopy(schema["properties"][wire])) for wire in wires},
        "additionalProperties": False,
    }
    if required:
        body["required"] = required
    content: Json = {"schema": body}
    if (examples := schema.get("examples")) is not None:
        content["examples"] = {f"example {i + 1}": {"value": each} for i, each in enumerate(examples)}
    return {"required": bool(required), "content": {"application/json": content}}


def _in_64_bits(schema: Json) -> Json:
    if schema.get("type") == "integer":
        return _as_text(schema)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            schema[key] = [_in_64_bits(each) for each in schema[key]]
    if isinstance(schema.get("items"), dict):
        schema["items"] = _in_64_bits(schema["items"])
    return schema


def _responses(operation: Operation, schemas: _Schemas) -> Json:
    responses: Json = {}
    if operation.output is None and not operation.streams:
        responses["204"] = {"description": "Done."}
    else:
        content: Json = {}
        if operation.output is not None:
            content["application/json"] = {"schema": schemas.ref(operation.output, "serialization")}
        for stream in operation.streams:
            content[stream.media_type] = {
                "schema": SSE_MESSAGE if stream.media_type == SSE else {"type": "string"}
            }
        done: Json = {"description": operation.summary or "Done.", "content": content}
        told = headers_of(operation.output) if operation.output is not None else {}
        if told:
            done["headers"] = {header: {"schema": {"type": "string"}} for header in told.values()}
        responses[str(operation.status)] = done
    known = [*operation.errors, *_EVERYWHERE]
    if operation.body_fields:
        known += _WITH_BODY
    if operation.effect is not Effect.READ:
        known.append(DiskFull)
    return {**responses, **_problems(known)}


def _piece(stream: Stream) -> Json:
    return {"type": "string", "format": "binary"} if stream.suffix else {"type": "string"}


def _problems(known: Iterable[type[Problem]]) -> Json:
    """One response for each status, with an example for each code."""
    by_status: dict[int, dict[str, type[Problem]]] = {}
    for kind in known:
        by_status.setdefault(kind.status, {})[kind.code] = kind
    return {
        str(status): {
            "description": "; ".join(dict.fromkeys(kind.title for kind in kinds.values())) + ".",
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": f"{_REF}Problem"},
                    "examples": {code: {"value": _example(kind)} for code, kind in kinds.items()},
                }
            },
        }
        for status, kinds in sorted(by_status.items())
    }


def _example(kind: type[Problem]) -> Json:
    return kind(f"{kind.title}.").document(instance="/api/v1/…", request_id="5f0c3b1e9a7d2468")


def _own(name: str, summary: str, media_type: str, schema: Json) -> Json:
    """An address of the door's own that answers with one document."""
    return {
        "operationId": f"door.{name}",
        "summary": summary,
        "tags": ["door"],
        "responses": {
            "200": {"description": summary, "content": {media_type: {"schema": schema}}},
            **_problems(_EVERYWHERE),
        },
    }


def _session(schemas: _Schemas) -> Json:
    problems = _problems([*_EVERYWHERE, *_WITH_BODY])
    done: Mapping[str, Json] = {
        "200": {
            "description": "Signed in; the answer sets the cookie.",
            "content": {"application/json": {"schema": schemas.ref(SignedIn, "serialization")}},
        }
    }
    body = {"required": False, "content": {"application/json": {"schema": schemas.ref(SignIn, "validation")}}}
    common = {"tags": ["door"], "security": [{}, {"bearer": []}]}
    return {
        "post": {
            "operationId": "door.session.begin",
            "summary": "Trade the token for a cookie that the browser keeps.",
            "requestBody": body,
            "responses": {**done, **problems},
            **common,
        },
        "delete": {
            "operationId": "door.session.end",
            "summary": "Sign out: take the cookie away.",
            "responses": {"204": {"description": "Signed out."}, **_problems(_EVERYWHERE)},
            **common,
        },
    }
