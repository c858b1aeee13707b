"""From the fields of an input model to options and arguments of a command, and back to what is sent.

Only what was typed is sent; what holds otherwise is the daemon's to say. A nested field is typed as JSON. Paths of a project may be
typed as to git: `att git add demo FILE…` is `att git add demo --path FILE …`.
"""

from __future__ import annotations

import datetime
import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic.fields import FieldInfo

from att.catalogue import Operation
from att.fields import USUAL, Shape, shape, trailing, wire_name

if TYPE_CHECKING:
    Type = click.ParamType[Any]
else:
    Type = click.ParamType

SHORT = {"limit": "-n", "message": "-m"}
WORDS = "words"
"""The paths that were typed without a flag."""


class Json(Type):
    """A JSON text."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            self.fail(f"{value[:60]!r} is no JSON: {error}", param, ctx)


class Here(Type):
    """A path, which is made absolute here, since the daemon stands in another folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(Path.cwd() / Path(str(value)).expanduser())


class HereOrName(Here):
    """A path that says so by how it begins, as no name of a commit does (`.`, `../att`, `~/att`); all else is left as it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(value, param, ctx) if str(value).startswith((".", "~")) else str(value)


class Moment(Type):
    """A time; without a zone it is the time of this machine."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            moment = datetime.datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-11-21T14:00", param, ctx)
        return moment.astimezone().isoformat()


_TYPES: dict[type, Type] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    dict: Json(),
    Path: Here(),
    datetime.datetime: Moment(),
}


def type_for(found: Shape, info: FieldInfo) -> Type:
    if found.kind is enum.Enum:
        return click.Choice(found.choices)
    extra = info.json_schema_extra
    told = extra.get("format") if isinstance(extra, dict) else None
    if told == "path":
        return _TYPES[Path]
    if told == "path-or-name":
        return HereOrName()
    return _TYPES[found.kind]


def parameters(operation: Operation, taken: set[str]) -> list[click.Parameter]:
    """Arguments for the positional fields, options for the others. Flags in `taken` are not used again."""
    fields = operation.input.model_fields
    found: list[click.Parameter] = [
        click.Argument(
            [name],
            type=type_for(shape(fields[name].annotation), fields[name]),
            required=fields[name].is_required(),
        )
        for name in operation.positional
    ]
    if last := trailing(fields, operation.positional):
        many = shape(fields[last].annotation).many
        found.append(
            click.Argument(
                [WORDS], nargs=-1 if many else 1, required=False, metavar=f"[PATH]{'...' if many else ''}"
            )
        )
    found += [_option(name, info, taken) for name, info in fields.items() if name not in operation.positional]
    return found


def _option(name: str, info: FieldInfo, taken: set[str]) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    found = shape(info.annotation)
    told = _help(name, info, found)
    needed = info.is_required()
    more: dict[str, Any] = {"required": True} if needed else {"default": None}  # click takes None for a value
    if found.kind is bool and not found.many:
        return click.Option([f"{flag}/--no-{flag[2:]}"], help=told, **more)
    names = [flag, *([SHORT[name]] if name in SHORT and SHORT[name] not in taken else []), name]
    return click.Option(names, type=type_for(found, info), multiple=found.many, help=told, **more)


def _help(name: str, info: FieldInfo, found: Shape) -> str:
    parts = [info.description or USUAL.get(name, "")]
    if found.many:
        parts.append("May be given more than once.")
    if (
        not info.is_required()
        and info.default_factory is None
        and info.default not in (None, False, "", [], (), {})
        and not callable(info.default)
    ):
        default = info.default.value if isinstance(info.default, enum.Enum) else info.default
        parts.append(f"[default: {default}]")
    return " ".join(part for part in parts if part)


def typed(operation: Operation, given: dict[str, Any]) -> dict[str, Any]:
    """What was typed, under the names that travel."""
    fields = operation.input.model_fields
    values = {name: given[name] for name in fields if given.get(name) not in (None, ())}
    if words := given.get(WORDS):
        last = trailing(fields, operation.positional) or ""
        if last in values and not isinstance(words, tuple):
            raise click.UsageError(f"Name one path: {words!r}, or --{last} {values[last]!r}.")
        values[last] = (*values.get(last, ()), *words) if isinstance(words, tuple) else words
    return {
        wire_name(name, fields[name]): list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }
