"""One catalogue, the same at every door: each operation in the document and on the command line with the same fields, and each
answer, good or bad, the same at both doors of a real daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import pytest

from att.catalogue import Effect, Operation, headers_of
from att.cli.commands import NDJSON, connection_options, request_of, verb
from att.cli.main import build, main
from att.fields import shape, wire_name
from att.problems import Problem
from att.rooms import catalogue
from tests.att.runtime import places
from tests.contract.house import ALIVE, PAUSE, nothing_changes, refused
from tests.daemon import Answer, RunningDaemon, running

OPERATIONS = list(catalogue())
OWN = {"follow", "wait", "yes", "help", "output"}
# Told anew by each answer: who, when, how much; not what.
ANEW = {
    *(
        "request_id",
        "run_id",
        "pid",
        "started_at",
        "ready_at",
        "exited_at",
        "health_checked_at",
        "checked_at",
    ),
    *("log_cursor", "cursor", "next_cursor", "newest_cursor", "oldest_cursor", "freed_bytes", "event_id"),
    *(
        "latency_ms",
        "cpu_percent",
        "rss_bytes",
        "open_files",
        "threads",
        "created_at",
        "updated_at",
        "run",
        "at",
    ),
    *("uptime_seconds", "built_at", "ended_at", "seconds", "runs", "successes", "lines", "progress", "phase"),
    *("last_id", "previous_cursor", "heartbeat"),
}
# What has no cheap success here, and where it is proved.
ELSEWHERE = {
    "runtime.eval": "tests/nat, with the real NAT",
    **{o.name: "tests of the room, with a launcher" for o in OPERATIONS if o.room == "release"},
}
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
    with running(tmp_path_factory.mktemp("parity") / "home", ATT_LOG_LEVEL="warning") as daemon:
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
    told = {(p["in"], p["name"], p["required"]) for p in entry.get("parameters", []) if p["name"] != "format"}
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


@dataclass(frozen=True)
class Case:
    """What is asked, the code of the problem that it meets (none: it goes well), and what to do before, at each door."""

    name: str
    given: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    before: Callable[[RunningDaemon], object] = lambda daemon: None

    def __str__(self) -> str:
        return f"{self.name}-{self.code or 'ok'}"


def stop(daemon: RunningDaemon) -> None:
    assert daemon.ask("POST", "/projects/app/runtime/stop").status in (200, 409)


def run(daemon: RunningDaemon) -> None:
    assert daemon.ask("POST", "/projects/app/runtime/start").status in (200, 409)


def make(daemon: RunningDaemon) -> None:
    folder = daemon.home / "projects" / "made"
    folder.mkdir(exist_ok=True)
    daemon.ask("POST", "/projects", {"name": "made", "path": str(folder)})


def unmake(daemon: RunningDaemon) -> None:
    assert daemon.ask("DELETE", "/projects/new").status in (200, 404)


def building(daemon: RunningDaemon) -> None:
    stop(daemon)
    folder = daemon.home / "projects" / "app"
    (folder / "backend").mkdir(exist_ok=True)
    (folder / "backend" / "slow.py").write_text("import signal\nsignal.pause()\n")
    system = "[build-system]\nrequires = []\nbuild-backend = 'slow'\nbackend-path = ['backend']\n"
    (folder / "pyproject.toml").write_text(f"{system}[project]\nname = 'app'\nversion = '1'\n")
    assert daemon.ask("POST", "/projects/app/runtime/environment").status in (202, 409)


def not_building(daemon: RunningDaemon) -> None:
    stop(daemon)
    daemon.ask("DELETE", "/projects/app/runtime/environment")


APP, NOBODY = {"project_id": "app"}, {"project_id": "nobody"}
OLD = "2000-01-01T00:00:00Z"
CASES = [
    Case("health"),
    Case("health", {"ready": True}),
    Case("mcp.discover"),
    Case("mcp.tools", {"limit": 2}),
    Case("mcp.tools", {"limit": 0}, "invalid_request"),
    Case("mcp.resources"),
    Case("project.list", {"limit": 10}),
    Case("project.list", {"limit": 0}, "invalid_request"),
    Case("project.list", {"cursor": "!!"}, "bad_cursor"),
    Case("project.get", APP),
    Case("project.get", NOBODY, "project_not_found"),
    Case("project.create", {"name": "new", "template": "echo"}, before=unmake),
    Case("project.create", {"name": "app", "template": "echo"}, "project_exists"),
    Case("project.create", {"name": "?!", "template": "echo"}, "invalid_project_name"),
    Case("project.create", {"name": "x", "template": "none"}, "template_not_found"),
    Case("project.create", {"name": "x", "path": "/etc"}, "path_outside_roots"),
    Case("project.create", {"name": "x", "path": "/nowhere/at/all"}, "path_outside_roots"),
    Case("project.create", {"name": "x", "path": "/"}, "path_forbidden"),
    Case("project.create", {"name": "x", "clone_url": "ext::sh -c true"}, "clone_url_refused"),
    Case("project.create", {"name": "x", "clone_url": "http://127.0.0.1:1/none.git"}, "clone_failed"),
    Case("project.create", {"name": "x"}, "invalid_request"),
    Case("project.delete", {"project_id": "made", "keep_files": True}, before=make),
    Case("project.delete", NOBODY, "project_not_found"),
    Case("runtime.start", {**APP, "wait": "running"}, before=stop),
    Case("runtime.start", APP, "runtime_already_running", run),
    Case("runtime.start", NOBODY, "project_not_found"),
    Case("runtime.start", {**APP, "timeout": -1}, "invalid_request"),
    Case("runtime.restart", APP, before=run),
    Case("runtime.restart", {"project_id": "new"}, "environment_not_built"),
    Case("runtime.status", APP, before=run),
    Case("runtime.status", NOBODY, "project_not_found"),
    Case("runtime.logs", {**APP, "limit": 5}),
    Case("runtime.logs", {**APP, "grep": "here", "stream": "stdout", "strip_ansi": True}),
    Case("runtime.logs", {**APP, "cursor": "zzz"}, "bad_cursor"),
    Case("runtime.logs", {**APP, "grep": "("}, "bad_filter"),
    Case("runtime.logs", {**APP, "limit": 10_001}, "invalid_request"),
    Case("runtime.logs", NOBODY, "project_not_found"),
    Case("runtime.logs.delete", APP),
    Case("runtime.logs.delete", {**APP, "cursor": "zzz"}, "bad_cursor"),
    Case("runtime.eval", APP, "no_config"),
    Case("runtime.eval", {"project_id": "nat"}, "invalid_nat_config"),
    Case("runtime.eval", {"project_id": "evaluated"}, "eval_not_installed"),
    Case("runtime.stop", APP, before=run),
    Case("runtime.stop", APP, "runtime_not_running", stop),
    Case("runtime.environment.get", APP),
    Case("runtime.environment.get", NOBODY, "project_not_found"),
    Case("runtime.environment.build", APP, "runtime_already_running", run),
    Case("runtime.environment.build", APP, before=not_building),
    Case("runtime.environment.cancel", APP, before=building),
    Case("runtime.environment.cancel", APP, "no_build_running", not_building),
    Case("event.list", {"type": ["project.*", "runtime.started"], "limit": 3, "order": "oldest"}),
    Case("event.list", {"cursor": "zzz"}, "bad_cursor"),
    Case("event.list", {"limit": 1001}, "invalid_request"),
    Case("event.list_project", {**APP, "limit": 2, "order": "oldest"}),
    Case("event.list_project", NOBODY, "project_not_found"),
    Case("event.stream", {"after": 0, "limit": 2}),
    Case("event.stream", {"wait": 61}, "invalid_request"),
    Case("event.stream_project", {**APP, "after": 0, "limit": 2}),
    Case("event.stream_project", NOBODY, "project_not_found"),
    Case("event.delete", {"before": OLD}),
]


def by_http(daemon: RunningDaemon, operation: Operation, given: dict[str, Any]) -> Answer:
    target, body = request_of(operation, given)
    return daemon.ask(operation.method, target.removeprefix("/api/v1"), body)


def words_of(operation: Operation, given: dict[str, Any]) -> list[str]:
    words = [operation.room] if operation.name == operation.room else [operation.room, verb(operation.name)]
    words += [str(given[name]) for name in operation.positional if name in given]
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if name in operation.positional:
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [
                word for each in (value if isinstance(value, list) else [value]) for word in (flag, str(each))
            ]
    return [*words, *(["--yes"] if operation.effect is Effect.DESTRUCTIVE else []), "--json"]


def same_each_time(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: same_each_time(value) if key not in ANEW else None for key, value in told.items()}
    if isinstance(told, list):
        return [same_each_time(each) for each in told]
    return re.sub(r"after \d+ ms", "after some ms", told) if isinstance(told, str) else told


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_doors_answer_the_same(
    daemon: RunningDaemon,
    case: Case,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATT_HOME", str(daemon.home))
    monkeypatch.setenv("ATT_LISTEN", f"127.0.0.1:{daemon.port}")
    operation = next(o for o in OPERATIONS if o.name == case.name)
    case.before(daemon)
    answer = by_http(daemon, operation, case.given)
    case.before(daemon)
    capsys.readouterr()
    code = main(words_of(operation, case.given))
    printed = capsys.readouterr()
    if case.code:
        refused(answer, answer.status, case.code)
        known = {kind.code for kind in operation.errors} | {"invalid_request"}
        assert case.code in known, "it is not declared"
    else:
        assert answer.status == operation.status, answer.text
    assert code == (1 if case.code else 0), printed
    assert printed.err == ""
    assert same_each_time(json.loads(printed.out)) == same_each_time(answer.json)


def test_a_refusal_at_either_door_changes_nothing(daemon: RunningDaemon) -> None:
    not_building(daemon)
    with nothing_changes(daemon):
        for case in CASES:
            if case.code and case.before not in (run, building) and case.name != "project.create":
                operation = next(o for o in OPERATIONS if o.name == case.name)
                refused(answer := by_http(daemon, operation, case.given), answer.status, case.code)


def test_each_operation_goes_well_here_or_elsewhere() -> None:
    well = {case.name for case in CASES if not case.code}
    assert {operation.name for operation in OPERATIONS} == well | ELSEWHERE.keys()
    assert not well & ELSEWHERE.keys()
