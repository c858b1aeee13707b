"""One catalogue, the same at every door: each operation in the document and on the command line with the same fields, and each
answer, good or bad, the same at all doors of a real daemon: HTTP, MCP and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest

from att.catalogue import Effect, Operation, headers_of
from att.cli.commands import NDJSON, connection_options, verb
from att.cli.main import build, main
from att.fields import shape, trailing, wire_name
from att.problems import Problem
from att.rooms import catalogue
from tests.att.runtime import places
from tests.contract.house import ALIVE, PAUSE, nothing_changes, refused
from tests.contract.parity import (
    code_room,
    daemons_own,
    debug_room,
    deploy_room,
    first_rooms,
    forge_room,
    git_room,
    github,
    programs,
    project_room,
    runtime_room,
    test_room,
    workflow_room,
)
from tests.contract.parity.case import Case, nothing, same_each_time
from tests.contract.parity.doors import by_http, by_mcp, words_of
from tests.contract.parity.first_rooms import not_building
from tests.daemon import RunningDaemon, running

OPERATIONS = list(catalogue())
MAKING = ("project.create", "project.download")  # that it came to nothing is told as an event
OWN = {"follow", "wait", "words", "yes", "help", "output"}
ROOMS = (
    *(first_rooms, daemons_own, code_room, git_room, project_room, runtime_room),
    *(forge_room, test_room, debug_room, deploy_room, workflow_room),
)
CASES = [case for room in ROOMS for case in room.CASES]
ELSEWHERE = {name: where for room in ROOMS for name, where in room.ELSEWHERE.items()}
ERRORS_ELSEWHERE = {told: where for room in ROOMS for told, where in room.ERRORS_ELSEWHERE.items()}
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def command_of(operation: Operation) -> click.Command:
    house = build()
    context = click.Context(house)
    found = house.get_command(context, operation.room)
    if isinstance(found, click.Group):
        found = found.get_command(context, verb(operation.name))
    assert found is not None, operation.name
    return found


# -- the same fields


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("parity")
    variables = {"ATT_LOG_LEVEL": "warning", "PATH": programs.path(folder), **programs.NOBODY}
    with (
        github.serving(folder) as url,
        running(folder / "home", ATT_GITHUB_URL=url, **variables) as daemon,
    ):
        daemon.project("app", PAUSE, ALIVE)
        daemon.project("other", PAUSE, ALIVE)
        (daemon.home / "projects" / "app" / "pyproject.toml").write_text(
            "[project]\nname = 'app'\nversion = '1'\ndependencies = []\n"
        )
        for name, more in (("nat", ""), ("evaluated", "eval: {}\n")):
            folder = places.nat_project(daemon.home / "projects" / name)
            (folder / "config.yml").write_text(places.CONFIG + more)
            assert daemon.ask("POST", "/projects", {"path": str(folder)}).status == 201
        yield daemon
        assert "Traceback" not in daemon.said


@pytest.fixture(scope="module")
def document(daemon: RunningDaemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.ask("GET", "/openapi.json").json
    return found


@each_operation
def test_the_document_has_each_operation_with_its_fields(
    document: dict[str, Any], operation: Operation
) -> None:
    entry = document["paths"][f"/api/v1{operation.template}"][operation.method.lower()]
    assert (entry["operationId"], entry["summary"]) == (operation.name, operation.summary)
    told = {
        (p["in"], p["name"], p["required"])
        for p in entry.get("parameters", [])
        if p["name"] != "format" or "format" in operation.input.model_fields
    }
    body = entry.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    told |= {("body", name, name in body.get("required", ())) for name in body.get("properties", {})}
    fields = operation.input.model_fields
    places_ = {"path": operation.path_fields, "query": operation.query_fields, "body": operation.body_fields}
    assert told == {
        (place, wire_name(name, fields[name]), place == "path" or fields[name].is_required())
        for place, names in places_.items()
        for name in names
    } | {("header", header, False) for header in headers_of(operation.input).values()}
    assert str(operation.status if operation.output or operation.streams else 204) in entry["responses"]


@each_operation
def test_the_document_has_each_problem_of_an_operation(
    document: dict[str, Any], operation: Operation
) -> None:
    responses = document["paths"][f"/api/v1{operation.template}"][operation.method.lower()]["responses"]
    for kind in operation.errors:
        examples = responses[str(kind.status)]["content"]["application/problem+json"]["examples"]
        told = examples[kind.code]["value"]
        assert (told["code"], told["status"], told["hint"]) == (kind.code, kind.status, kind.hint)


@each_operation
def test_the_command_line_has_each_operation_with_its_fields(operation: Operation) -> None:
    shared = {option.name for option in connection_options()} | {"as_json"}
    found = {parameter.name: parameter for parameter in command_of(operation).params}
    fields = operation.input.model_fields
    assert fields.keys() <= found.keys()
    assert found.keys() - fields.keys() <= shared | OWN
    assert ("words" in found) == (trailing(fields, operation.positional) is not None)
    for name, info in fields.items():
        assert found[name].required == info.is_required(), name
        assert (
            found[name].multiple == shape(info.annotation).many
            if isinstance(found[name], click.Option)
            else True
        )
    assert ("yes" in found) == (operation.effect is Effect.DESTRUCTIVE)
    can_follow = operation.method == "GET" and any(
        stream.media_type == NDJSON for stream in operation.streams
    )
    assert ("follow" in found) == can_follow


def every_problem(kind: type[Problem] = Problem) -> Iterator[type[Problem]]:
    for below in kind.__subclasses__():
        if below.__module__.startswith("att."):
            yield below
            yield from every_problem(below)


def test_a_code_means_one_thing() -> None:
    meanings: dict[str, set[tuple[int, str]]] = {}
    for operation in OPERATIONS:
        for kind in operation.errors:
            meanings.setdefault(kind.code, set()).add((kind.status, kind.title))
            assert kind.hint != Problem.hint, f"{kind.__name__} says nothing of its own"
    assert {code: told for code, told in meanings.items() if len(told) > 1} == {}


# -- the same answers


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_doors_answer_the_same(
    daemon: RunningDaemon,
    case: Case,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATT_HOME", str(daemon.home))
    monkeypatch.setenv("ATT_LISTEN", f"127.0.0.1:{daemon.port}")
    operation = next(o for o in OPERATIONS if o.name == case.name)
    try:
        _ask_at_each(daemon, operation, case, capsys)
    finally:
        case.after(daemon)


def _ask_at_each(
    daemon: RunningDaemon, operation: Operation, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.before(daemon)
    given = case.asked(daemon)
    answer = by_http(daemon, operation, given)
    if case.code:
        refused(answer, answer.status, case.code)
        assert case.code in {*(kind.code for kind in operation.errors), "invalid_request"}, (
            "it is not declared"
        )
    else:
        assert answer.status == operation.status, answer.text
    expected = same_each_time(answer.json, case.anew)

    case.before(daemon)
    given = case.asked(daemon)
    went_well, told = by_mcp(daemon, operation, given)
    assert went_well == (not case.code), told
    assert same_each_time(told, case.anew) == expected

    case.before(daemon)
    given = case.asked(daemon)
    capsys.readouterr()
    code = main(words_of(operation, given))
    printed = capsys.readouterr()
    assert code == (1 if case.code else 0), printed
    assert printed.err == ""
    assert same_each_time(json.loads(printed.out), case.anew) == expected


def test_a_refusal_changes_nothing(daemon: RunningDaemon) -> None:
    not_building(daemon)
    with nothing_changes(daemon):
        for case in CASES:
            if case.code and case.before is nothing and case.name not in MAKING:
                operation = next(o for o in OPERATIONS if o.name == case.name)
                refused(answer := by_http(daemon, operation, case.asked(daemon)), answer.status, case.code)


def test_each_operation_goes_well_here_or_elsewhere() -> None:
    well = {case.name for case in CASES if not case.code}
    assert {operation.name for operation in OPERATIONS} == well | ELSEWHERE.keys()
    assert not well & ELSEWHERE.keys()


def test_each_error_that_is_declared_is_met_here_or_elsewhere() -> None:
    """`ERRORS_ELSEWHERE` says of an error, or of an operation's error, which tests meet it, and why not here."""
    met = {(case.name, case.code) for case in CASES if case.code}
    declared = {(operation.name, kind.code) for operation in OPERATIONS for kind in operation.errors}
    missing = {
        (name, code)
        for name, code in declared - met
        if code not in ERRORS_ELSEWHERE and f"{name}: {code}" not in ERRORS_ELSEWHERE
    }
    assert missing == set()
    for told in ERRORS_ELSEWHERE:
        name, _, code = told.rpartition(": ")
        if name:
            assert (name, code) in declared - met, f"{told} is not declared, or is met here"
        else:
            assert code in {each for _, each in declared}, f"{told} is not declared"
