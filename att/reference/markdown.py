"""The reference as Markdown: what `docs/reference.md` holds and `/docs` shows. Pure; the same input gives the same text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from att.catalogue import Operation, headers_of
from att.fields import USUAL, shape, trailing
from att.reference.types import Json, bounds_of, default_of, type_of

_HEAD = """# Reference

Everything that ATT can do, at every door. Each operation is an address of the HTTP API, a command of `att` and a tool of MCP.
It takes the same fields and answers with the same objects and errors at each.
"""
_ROOM = "Each of these may answer with {} as well."


def reference(
    operations: Sequence[Operation],
    document: Json,
    abouts: Mapping[str, str],
    settings: Json,
    events: Mapping[str, str],
) -> str:
    """The whole text. `document`: the OpenAPI document; `abouts`: what each room is about; `settings`: their JSON schema."""
    parts = [_HEAD]
    common = _common(document, operations)
    parts += ["## Operations\n", _ROOM.format(", ".join(f"`{code}`" for code in common)) + "\n"]
    for room, about in abouts.items():
        parts.append(f"### {room}\n\n{about}\n")
        parts += [_operation(each, document, common) for each in operations if each.room == room]
    parts += ["## Models\n", *(_model(*each) for each in document["components"]["schemas"].items())]
    parts += ["## Errors\n", _PROBLEM, _errors(document)]
    parts += ["## Events\n", _table(("type", "what it tells"), ((f"`{n}`", t) for n, t in events.items()))]
    parts += [
        "## Settings\n",
        _SETTINGS,
        _table(("setting", "type", "default", "what it is"), _settings(settings)),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


_PROBLEM = """Every error is an object of RFC 9457 (`application/problem+json`; in MCP the content of a tool's error): `type`,
`title`, `status`, `detail`, `instance`, `code`, `hint` (what to do) and `request_id`. The `code` never changes its meaning.
"""
_SETTINGS = """Each is a key of `ATT_HOME/att.toml`, a variable `ATT_<NAME>` and, where that makes sense, a flag of `att serve`.
"""


def _operation(operation: Operation, document: Json, common: Sequence[str]) -> str:
    entry = _entry(operation, document)
    command = " ".join(
        [*operation.name.replace("_", "-").split("."), *(n.upper() for n in operation.positional)]
    )
    known = operation.input.model_fields
    if last := trailing(known, operation.positional):
        command += " [PATH…]" if shape(known[last].annotation).many else " [PATH]"
    lines = [f"#### `{operation.name}`\n", operation.summary, ""]
    if operation.description:
        lines += [operation.description, ""]
    path = f"/api/v1{operation.path}"
    lines += [
        f"`{operation.method} {path}` · `att {command}` · tool `att_{operation.name.replace('.', '_')}` · "
        f"{operation.effect}, scope {operation.scope}" + (", idempotent" if operation.idempotent else ""),
        "",
    ]
    fields = list(_fields(operation, entry))
    if fields:
        lines += [_table(("field", "where", "type", "default", "what it is"), fields)]
    lines += [_answers(operation), ""]
    codes = [code for code in _codes(entry) if code not in common]
    if codes:
        lines += ["Errors: " + ", ".join(f"`{code}`" for code in codes) + ".", ""]
    return "\n".join(lines)


def _entry(operation: Operation, document: Json) -> Json:
    for methods in document["paths"].values():
        for each in methods.values():
            if each["operationId"] == operation.name:
                found: Json = each
                return found
    raise LookupError(f"{operation.name} is not in the document")


def _fields(operation: Operation, entry: Json) -> Iterable[tuple[str, ...]]:
    named = set(headers_of(operation.input).values())
    for each in entry.get("parameters", ()):
        if each["name"] not in named or each["in"] != "header":
            yield _row(
                each["name"], each["in"], each["schema"], each["required"], each.get("description", "")
            )
    body = entry.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for name, schema in body.get("properties", {}).items():
        yield _row(name, "body", schema, name in body.get("required", ()), schema.get("description", ""))


def _row(name: str, where: str, schema: Json, required: bool, told: str) -> tuple[str, ...]:
    kind = ", ".join(filter(None, (type_of(schema), bounds_of(schema))))
    default = "needed" if required else default_of(schema)
    return (
        f"`{name}`",
        where,
        kind,
        default and (default if required else f"`{default}`"),
        told or USUAL.get(name, ""),
    )


def _answers(operation: Operation) -> str:
    told = f"`{operation.output.__name__}`" if operation.output is not None else "no content"
    streams = [stream.media_type for stream in operation.streams]
    also = f"; as a stream: {', '.join(f'`{each}`' for each in streams)}" if streams else ""
    goes_on = f" `{operation.progress}` tells how it goes on." if operation.progress else ""
    return f"Answers {operation.status} with {told}{also}.{goes_on}"


def _codes(entry: Json) -> list[str]:
    found: dict[str, None] = {}
    for response in entry["responses"].values():
        found |= dict.fromkeys(
            response.get("content", {}).get("application/problem+json", {}).get("examples", {})
        )
    return list(found)


def _common(document: Json, operations: Sequence[Operation]) -> list[str]:
    """The codes that every operation may answer with: told once."""
    each = [_codes(_entry(operation, document)) for operation in operations]
    return [code for code in each[0] if all(code in codes for codes in each)] if each else []


def _model(name: str, schema: Json) -> str:
    lines = [f"### {name}\n"]
    if told := schema.get("description"):
        lines += [str(told), ""]
    if "enum" in schema:
        return "\n".join([*lines, "One of " + ", ".join(f"`{each}`" for each in schema["enum"]) + "."])
    rows = [
        (f"`{field}`", type_of(each), each.get("description", ""))
        for field, each in schema.get("properties", {}).items()
    ]
    return "\n".join([*lines, _table(("field", "type", "what it is"), rows) if rows else type_of(schema)])


def _errors(document: Json) -> str:
    rows: dict[str, tuple[str, ...]] = {}
    for methods in document["paths"].values():
        for entry in methods.values():
            for response in entry["responses"].values():
                examples = response.get("content", {}).get("application/problem+json", {}).get("examples", {})
                for code, example in examples.items():
                    value = example["value"]
                    rows[code] = (f"`{code}`", str(value["status"]), value["title"], value["hint"])
    return _table(("code", "status", "what it means", "what to do"), (rows[code] for code in sorted(rows)))


def _settings(schema: Json) -> Iterable[tuple[str, ...]]:
    for name, each in schema["properties"].items():
        if "$ref" in each:
            each = {**schema["$defs"][each["$ref"].rpartition("/")[2]], **each}
        default = default_of(each)
        yield f"`{name}`", type_of(each), f"`{default}`" if default else "", each.get("description", "")


def _table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cell(str(cell)) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
