"""The one table of everything ATT can do.

Each entry is an `Operation`: a plain async function over an input model and a few collaborators, with what the doors need to
offer it (name, effect, scope, HTTP method and path, models, declared errors). The HTTP routes, the OpenAPI document, the
command line, the permission check and the audit are made from it; nothing is offered at one door and not at another.

A room declares its operations at import time, without any collaborator:

    room = Room("runtime")

    @room.operation("POST", "/projects/{project_id}/runtime/start", effect=Effect.WRITE, errors=(AlreadyRunning,))
    async def start(ask: StartRuntime, call: Call, runtime: Runtime) -> RuntimeStatus:
        '''Start the project's app.'''

The first parameter is the input model. The others are collaborators, found by their annotated type when the daemon binds the
catalogue (`Catalogue.bind`); `Call` is who asks. Fields of the input model that stand in the path template come from the path;
the others from the query (GET, DELETE, or a field marked `Query`) or from the JSON body. This file does no I/O.

A collaborator's class may be imported under `if TYPE_CHECKING:`; then it is found by its name when the catalogue is
bound. So a door that only reads the catalogue (the command line) need not load what the operations work with.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from string import Formatter
from typing import Any, get_type_hints

from pydantic import BaseModel

from att.problems import Problem


class Effect(StrEnum):
    """What running an operation does to the world; read writes nothing, not even an event."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"


class Scope(StrEnum):
    """What a token must carry. `OPEN` needs none."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"
    ADMIN = "admin"


class _QueryMark:
    """`Annotated[float, Query]`: this field of a POST or PUT travels in the query, not in the body."""


Query = _QueryMark()


@dataclass(frozen=True, slots=True)
class Header:
    """`Annotated[str | None, Header("If-Match")]`: a field that may also travel as this header of HTTP.

    On an input model the header stands for the field where the field itself is not given; on an output model the field
    is repeated as the header (an etag in quotes). The other doors know the field alone.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, through which door, under which id."""

    request_id: str
    actor: str = "local"
    scopes: frozenset[Scope] = frozenset(Scope)
    door: str = "http"
    last_event_id: str | None = None


Chunks = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Stream:
    """Another representation of an operation's answer, sent piece by piece (`text/event-stream`, `application/x-ndjson`).

    `open` has the parameters of the operation's function; it is awaited first, so that its problems are still
    answered as problems, and returns the pieces.
    """

    media_type: str
    open: Callable[..., Awaitable[Chunks]]
    suffix: str = ""
    """Of the file that it makes, when it is one that is kept. Then it is what is answered unless JSON is asked for, and
    the field `format` of the input chooses among several: by the suffix without its dot."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked, and all that a door must know of it."""

    name: str
    summary: str
    method: str
    path: str
    effect: Effect
    scope: Scope
    idempotent: bool
    status: int
    input: type[BaseModel]
    output: type[BaseModel] | None
    errors: tuple[type[Problem], ...]
    streams: tuple[Stream, ...]
    function: Callable[..., Awaitable[Any]]
    collaborators: Mapping[str, type] = field(default_factory=dict)
    positional: tuple[str, ...] = ()
    description: str = ""
    aliases: tuple[str, ...] = ()
    progress: str = ""
    also: str = ""

    @property
    def room(self) -> str:
        return self.name.split(".")[0]

    @property
    def path_fields(self) -> tuple[str, ...]:
        return tuple(name for _, name, _, _ in Formatter().parse(self.path) if name)

    @property
    def query_fields(self) -> tuple[str, ...]:
        """Names of the fields that travel in the query."""
        inside = set(self.path_fields)
        return tuple(
            name
            for name, info in self.input.model_fields.items()
            if name not in inside
            and (self.method in ("GET", "DELETE") or any(m is Query for m in info.metadata))
        )

    @property
    def body_fields(self) -> tuple[str, ...]:
        elsewhere = {*self.path_fields, *self.query_fields}
        return tuple(name for name in self.input.model_fields if name not in elsewhere)

    @property
    def template(self) -> str:
        """The path without the patterns that only a router reads (`{path:.+}`)."""
        return re.sub(r"{([^{}:]+):[^{}]*}", r"{\1}", self.path)

    def at_also(self) -> Operation:
        """The same operation at its other address (itself, when it has one only)."""
        return replace(self, path=self.also, also="") if self.also else self


class Room:
    """The operations of one subject. `errors` are those that every operation of the room can answer with."""

    def __init__(self, name: str, *, errors: tuple[type[Problem], ...] = ()) -> None:
        self.name = name
        self.errors = errors
        self.operations: list[Operation] = []

    def operation(
        self,
        method: str,
        path: str,
        *,
        effect: Effect,
        scope: Scope | None = None,
        idempotent: bool | None = None,
        status: int = 200,
        errors: tuple[type[Problem], ...] = (),
        streams: tuple[Stream, ...] = (),
        name: str | None = None,
        positional: tuple[str, ...] | None = None,
        aliases: tuple[str, ...] = (),
        progress: str = "",
        also: str = "",
    ) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
        """Declare the decorated function as an operation. Its docstring's first line is the summary.

        `name` defaults to `room.function`; the scope to the effect's; `positional` (the arguments that the command line
        takes without a flag) to the fields of the path. `aliases` are other names that the doors know it by. `progress`
        names the operation of the room whose stream tells how what this one began goes on. `also` is a second address,
        where what stands in `path` (such as a path with slashes, `{path:.+}`) travels in the query, so that any value can
        be told there; such a field is marked `Query`.
        """

        def declare(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            hints = _hints(function)
            result = hints.pop("return", None)
            parameters = list(inspect.signature(function).parameters)
            told = (inspect.getdoc(function) or "").partition("\n")
            if not issubclass(hints[parameters[0]], BaseModel):
                raise TypeError(
                    f"the first parameter of {function.__qualname__} must be a model that is loaded"
                )
            entry = Operation(
                name=name or f"{self.name}.{function.__name__}",
                summary=told[0],
                method=method,
                path=path,
                effect=effect,
                scope=scope or Scope(effect.value),
                idempotent=effect is Effect.READ if idempotent is None else idempotent,
                status=status,
                input=hints[parameters[0]],
                output=result if isinstance(result, type) and issubclass(result, BaseModel) else None,
                errors=(*self.errors, *errors),
                streams=streams,
                function=function,
                collaborators={p: hints[p] for p in parameters[1:]},
                positional=(),
                description=told[2].strip(),
                aliases=aliases,
                progress=progress,
                also=also,
            )
            object.__setattr__(entry, "positional", entry.path_fields if positional is None else positional)
            self.operations.append(entry)
            return function

        return declare


class Later:
    """Stands for a collaborator's class that was imported for type checking only; found by its name."""


def headers_of(model: type[BaseModel]) -> dict[str, str]:
    """Which fields of a model may travel as which headers."""
    return {
        name: mark.name
        for name, info in model.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Header)
    }


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function; names that are not loaded become a `Later` of that name."""
    later: dict[str, type] = {}
    while True:
        try:
            return get_type_hints(function, localns=later)
        except NameError as missing:
            name = str(missing.name)
            later[name] = type(name, (Later,), {})


@cache
def _wanted(function: Callable[..., Any]) -> tuple[tuple[str, type], ...]:
    """The collaborators of a function: its parameters after the first, with their types."""
    hints = _hints(function)
    return tuple((name, hints[name]) for name in list(inspect.signature(function).parameters)[1:])


@dataclass(frozen=True, slots=True)
class Bound:
    """An operation with its collaborators at hand."""

    operation: Operation
    collaborators: Mapping[type, Any]

    async def run(self, ask: BaseModel, call: Call) -> Any:
        return await self.operation.function(ask, **self._given(self.operation.function, call))

    async def open(self, stream: Stream, ask: BaseModel, call: Call) -> Chunks:
        return await stream.open(ask, **self._given(stream.open, call))

    def _given(self, function: Callable[..., Any], call: Call) -> dict[str, Any]:
        return {name: call if kind is Call else self._find(kind) for name, kind in _wanted(function)}

    def _find(self, kind: type) -> Any:
        if issubclass(kind, Later):
            kind = next((known for known in self.collaborators if known.__name__ == kind.__name__), kind)
        try:
            return self.collaborators[kind]
        except KeyError:
            raise LookupError(
                f"{self.operation.name} needs a {kind.__name__}, which the daemon does not have"
            ) from None

    def check(self) -> None:
        """LookupError when a collaborator of the operation or of one of its streams is missing."""
        for function in (self.operation.function, *(stream.open for stream in self.operation.streams)):
            for _, kind in _wanted(function):
                if kind is not Call:
                    self._find(kind)


class Catalogue:
    """All operations, by name. Two with one name, or with one method and path, are a fault of the program."""

    def __init__(self, rooms: Iterable[Room]) -> None:
        self._operations: dict[str, Operation] = {}
        routes: set[tuple[str, str]] = set()
        names: set[str] = set()
        for operation in (o for room in rooms for o in room.operations):
            paths = [path for path in (operation.path, operation.also) if path]
            here = {(operation.method, re.sub(r"{[^:}]*", "{", path)) for path in paths}
            called = {operation.name, *operation.aliases}
            if called & names or here & routes:
                raise ValueError(f"{operation.name} ({operation.method} {operation.path}) is declared twice")
            routes |= here
            names |= called
            self._operations[operation.name] = operation

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations.values())

    def __getitem__(self, name: str) -> Operation:
        found = self._operations.get(name) or next((o for o in self if name in o.aliases), None)
        if found is None:
            raise KeyError(name)
        return found

    def bind(self, collaborators: Mapping[type, Any]) -> dict[str, Bound]:
        """Every operation with what it needs; a missing collaborator is a fault of the wiring, told at once."""
        bound = {operation.name: Bound(operation, collaborators) for operation in self}
        for each in bound.values():
            each.check()
        return bound
