"""The table of operations: what is declared, what is bound, what is a fault of the program."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel

from att.catalogue import Call, Catalogue, Chunks, Effect, Query, Room, Scope, Stream
from att.problems import Conflict, NotFound, Problem
from att.rooms import ROOMS, catalogue, room

if TYPE_CHECKING:
    from elsewhere import Unloaded  # type: ignore[import-not-found]


class Ask(BaseModel):
    thing_id: str
    deep: bool = False
    dry: Annotated[bool, Query] = False


class Answer(BaseModel):
    told: str


class Shelf:
    name = "shelf"


class Busy(Conflict):
    code = "busy"


async def open_lines(ask: Ask, shelf: Shelf, call: Call) -> Chunks:
    async def pieces() -> Any:
        yield f"{shelf.name} {call.actor}".encode()

    return pieces()


def make() -> Room:
    made = Room("thing", errors=(NotFound,))

    @made.operation(
        "GET", "/things/{thing_id}", effect=Effect.READ, streams=(Stream("text/plain", open_lines),)
    )
    async def get(ask: Ask, shelf: Shelf, call: Call) -> Answer:
        """Show a thing.

        And more about it.
        """
        return Answer(told=f"{ask.thing_id} {shelf.name} {call.actor}")

    @made.operation(
        "POST",
        "/things/{thing_id}/move",
        effect=Effect.WRITE,
        errors=(Busy,),
        name="thing.move.far",
        aliases=("thing.go",),
    )
    async def move(ask: Ask, shelf: Shelf) -> None:
        """Move a thing."""

    return made


CALL = Call("r1")


def test_an_operation_knows_what_the_doors_need() -> None:
    found = Catalogue([make()])["thing.get"]
    assert (found.room, found.summary, found.description) == ("thing", "Show a thing.", "And more about it.")
    assert (found.path_fields, found.query_fields, found.body_fields) == (("thing_id",), ("deep", "dry"), ())
    assert (found.scope, found.idempotent, found.output) == (Scope.READ, True, Answer)
    move = Catalogue([make()])["thing.move.far"]
    assert (move.query_fields, move.body_fields) == (("dry",), ("deep",))
    assert (move.scope, move.idempotent, move.output) == (Scope.WRITE, False, None)
    assert move.errors == (NotFound, Busy)
    assert move.positional == ("thing_id",)


def test_an_alias_finds_the_same_operation() -> None:
    table = Catalogue([make()])
    assert table["thing.go"] is table["thing.move.far"]
    with pytest.raises(KeyError):
        table["thing.none"]


def test_a_bound_operation_runs_with_its_collaborators() -> None:
    bound = Catalogue([make()]).bind({Shelf: Shelf()})["thing.get"]
    answer = asyncio.run(bound.run(Ask(thing_id="a"), CALL))
    assert answer.told == "a shelf local"

    async def read() -> bytes:
        return b"".join(
            [piece async for piece in await bound.open(bound.operation.streams[0], Ask(thing_id="a"), CALL)]
        )

    assert asyncio.run(read()) == b"shelf local"


def test_a_missing_collaborator_is_told_when_the_table_is_bound() -> None:
    with pytest.raises(LookupError, match=r"thing\.get needs a Shelf"):
        Catalogue([make()]).bind({})


def test_a_collaborator_of_a_stream_alone_is_missed_too() -> None:
    made = Room("thing")

    @made.operation(
        "GET", "/things/{thing_id}", effect=Effect.READ, streams=(Stream("text/plain", open_lines),)
    )
    async def get(ask: Ask) -> Answer:
        """Show a thing."""
        return Answer(told="")

    with pytest.raises(LookupError, match=r"thing\.get needs a Shelf"):
        Catalogue([made]).bind({})


def test_a_collaborator_that_is_not_loaded_is_found_by_its_name() -> None:
    made = Room("thing")

    @made.operation("GET", "/things/{thing_id}", effect=Effect.READ)
    async def get(ask: Ask, call: Call, unloaded: Unloaded) -> Answer:
        """Show a thing."""
        return Answer(told=f"{unloaded.name} {call.actor}")

    with pytest.raises(LookupError, match="needs a Unloaded"):
        Catalogue([made]).bind({Shelf: Shelf()})
    loaded = type("Unloaded", (), {"name": "late"})
    bound = Catalogue([made]).bind({Shelf: Shelf(), loaded: loaded()})["thing.get"]
    assert asyncio.run(bound.run(Ask(thing_id="a"), CALL)).told == "late local"


def test_the_input_must_be_a_model() -> None:
    made = Room("thing")

    async def get(ask: str) -> Answer:
        return Answer(told=ask)

    with pytest.raises(TypeError, match="first parameter"):
        made.operation("GET", "/things", effect=Effect.READ)(get)


@pytest.mark.parametrize(
    ("method", "path", "name", "aliases"),
    [
        ("GET", "/other", "thing.get", ()),
        ("GET", "/things/{thing_id}", "thing.other", ()),
        ("GET", "/other", "thing.go", ()),
        ("GET", "/other", "thing.other", ("thing.get",)),
    ],
)
def test_nothing_is_declared_twice(method: str, path: str, name: str, aliases: tuple[str, ...]) -> None:
    made = make()

    @made.operation(method, path, effect=Effect.READ, name=name, aliases=aliases)
    async def again(ask: Ask) -> None:
        """Again."""

    with pytest.raises(ValueError, match="declared twice"):
        Catalogue([made])


def test_two_paths_that_differ_only_in_the_names_of_their_fields_are_one() -> None:
    class Other(BaseModel):
        other_id: str

    made = make()

    async def again(ask: Other) -> None:
        """Again."""

    again.__annotations__["ask"] = Other
    made.operation("GET", "/things/{other_id}", effect=Effect.READ)(again)
    with pytest.raises(ValueError, match="declared twice"):
        Catalogue([made])


# The real rooms, by the rules that all doors rely on.


def test_every_room_is_there_under_its_name() -> None:
    for name in ROOMS:
        assert room(name).name == name
    with pytest.raises(KeyError):
        room("none")


@pytest.mark.parametrize("operation", list(catalogue()), ids=lambda o: o.name)
def test_every_operation_is_fit_for_the_doors(operation: Any) -> None:
    assert operation.summary.endswith("."), "a sentence for people"
    assert operation.input.model_config.get("extra") == "forbid", "unknown fields are refused"
    assert set(operation.path_fields) <= operation.input.model_fields.keys()
    assert set(operation.positional) <= operation.input.model_fields.keys()
    assert operation.method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    if operation.effect is Effect.READ:
        assert operation.method in ("GET", "POST")
        assert operation.idempotent
    else:
        assert operation.method != "GET", "a GET changes nothing"
    if operation.effect is Effect.DESTRUCTIVE:
        assert operation.scope in (Scope.DESTRUCTIVE, Scope.ADMIN)


def test_every_declared_problem_tells_what_to_do_and_has_a_code_of_its_own() -> None:
    by_code: dict[str, type[Problem]] = {}
    for operation in catalogue():
        for kind in operation.errors:
            assert issubclass(kind, Problem)
            assert kind.hint
            assert kind.title
            assert 400 <= kind.status < 600
            assert by_code.setdefault(kind.code, kind) is kind, f"{kind.code} is used twice"
