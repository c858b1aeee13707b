"""Names, addresses and schemas: what the MCP door decides, over the whole catalogue and over anything at all."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from att.catalogue import Bound, Effect, Room, Scope
from att.mcp import names, places, prompts
from att.mcp.names import Spelling
from att.mcp.progress import Follower, Way
from att.mcp.surface import Surface
from att.rooms import catalogue
from tests.att.mcp import works

OPERATIONS = list(catalogue())
SURFACE = Surface(OPERATIONS, Spelling.UNDERSCORE)


def test_every_operation_is_a_tool_under_a_name_that_every_client_takes() -> None:
    assert SURFACE.tools.keys() == {operation.name for operation in OPERATIONS}
    for name, tool in SURFACE.tools.items():
        assert tool.shown.name.replace("_", "").isalnum() and len(tool.shown.name) <= names.LONGEST
        for spoken in (tool.shown.name, f"att.{name}"):
            assert SURFACE.spoken[spoken] == name
    assert SURFACE.spoken["att_project_status"] == "project.get"
    dotted = Surface(OPERATIONS, Spelling.DOTTED)
    assert {tool.shown.name for tool in dotted.tools.values()} == {f"att.{o.name}" for o in OPERATIONS}


class Ask(BaseModel):
    pass


def test_two_operations_of_one_tool_name_are_refused() -> None:
    room = Room("a")
    for name in ("a.b_c", "a.b.c"):

        async def nothing(ask: Ask) -> None:
            """Nothing."""

        room.operation("GET", f"/{name}", effect=Effect.READ, name=name)(nothing)
    with pytest.raises(ValueError, match="would mean both"):
        names.spoken(room.operations)


@pytest.mark.parametrize("name", sorted(SURFACE.tools))
def test_schemas_stand_alone_and_are_valid(name: str) -> None:
    wire = SURFACE.tools[name].wire()
    for schema in (wire["inputSchema"], wire["outputSchema"]):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert "$schema" not in schema  # 2020-12 is what the protocol means then
        jsonschema.Draft202012Validator(schema).is_valid({})  # every reference is found inside
    problem = {
        "type": "t",
        "title": "t",
        "status": 404,
        "detail": "d",
        "code": "c",
        "hint": "h",
        "request_id": "r",
    }
    jsonschema.validate(problem, wire["outputSchema"])
    fields = SURFACE.tools[name].operation.input.model_fields
    assert len(wire["inputSchema"]["properties"]) == len(fields)
    assert wire["inputSchema"]["additionalProperties"] is False
    assert wire["description"] and wire["title"]


@pytest.mark.parametrize("name", sorted(SURFACE.tools))
def test_hints_follow_from_the_effect(name: str) -> None:
    tool = SURFACE.tools[name]
    hints = tool.wire()["annotations"]
    assert hints["readOnlyHint"] is (tool.operation.effect is Effect.READ)
    assert hints["destructiveHint"] is (tool.operation.effect is Effect.DESTRUCTIVE)
    assert hints["idempotentHint"] is tool.operation.idempotent


def test_what_only_streams_has_a_schema_of_what_is_gathered() -> None:
    surface = Surface(works.room.operations, Spelling.UNDERSCORE)
    jsonschema.validate({"items": [1], "complete": True}, surface.tools["work.lines"].shown.output_schema)
    jsonschema.validate({"done": True}, surface.tools["work.clear"].shown.output_schema)


@given(st.text(max_size=30).filter(lambda text: text.isprintable() and text != ""))
def test_an_address_means_its_project(project: str) -> None:
    for place in places.PLACES[1:]:
        found = places.parse(places.address(place.name, project))
        assert found is not None and (found.place, found.project_id) == (place.name, project)


@given(st.one_of(st.text(max_size=60), st.text(max_size=40).map(lambda t: f"att://project/{t}")))
def test_no_address_is_too_odd_to_be_read(uri: str) -> None:
    found = places.parse(uri)
    assert found is None or found.place in {place.name for place in places.PLACES}


def test_a_query_is_for_the_logs_only() -> None:
    found = places.parse("att://project/p/logs?limit=7&cursor=a%20b&other=1")
    assert found is not None and found.query == {"limit": "7", "cursor": "a b"}
    assert places.parse("att://project/p/files?limit=7") == places.Address("files", "p", {})
    for wrong in (
        "att://project/p",
        "att://project/a/b/files",
        "att://project//files",
        "http://x",
        "att://projects/",
    ):
        assert places.parse(wrong) is None
    escaped = quote("../x", safe="")
    assert places.parse(f"att://project/{escaped}/files") == places.Address("files", "../x", {})


@pytest.mark.parametrize(
    ("event", "project", "told"),
    [
        ("code.changed", "p", {"att://project/p/files", "att://project/p/config"}),
        ("test.failed", "p", {"att://project/p/tests"}),
        ("runtime.started", "p", {"att://projects"}),
        ("project.deleted", "p", {"att://projects"}),
        ("git.push", "p", {"att://project/p/files", "att://project/p/config", "att://project/p/ci"}),
        ("auth.refused", None, set()),
    ],
)
def test_an_event_changes_the_resources_it_is_about(event: str, project: str | None, told: set[str]) -> None:
    assert places.changed(event, project) == told


def test_whoever_waits_for_long_work_can_be_told_of_it() -> None:
    bound = {operation.name: Bound(operation, {}) for operation in OPERATIONS}
    long = {o.name for o in OPERATIONS if o.progress and "wait" in o.input.model_fields}
    assert {"test.run", "deploy.build", "workflow.change_test"} <= long
    assert {name for name in long if Follower.of(bound[name], bound) is None} == set()


def test_the_list_of_all_tools_fits_into_one_message_of_a_client() -> None:
    assert len(json.dumps([tool.wire() for tool in SURFACE.tools.values()])) < 192 * 1024


def test_only_what_the_scopes_allow_is_offered() -> None:
    read = {tool.operation.scope for tool in SURFACE.allowed(frozenset({Scope.OPEN, Scope.READ}))}
    assert read == {Scope.OPEN, Scope.READ}
    assert SURFACE.readable(frozenset({Scope.OPEN})) == []


def test_prompts_name_tools_that_there_are() -> None:
    for prompt in prompts.PROMPTS:
        given = {argument.name: "x" for argument in prompt.arguments}
        assert prompts.missing(prompt, {}) == [a.name for a in prompt.arguments if a.required]
        told = prompts.text(prompt, given, Spelling.UNDERSCORE, SURFACE.tools)
        named = set(re.findall(r"`(att_[a-z_]+)`", told))
        assert len(named) > 2
        assert named <= {tool.shown.name for tool in SURFACE.tools.values()}
    few = prompts.text(prompts.PROMPTS[0], {"project_id": "p"}, Spelling.DOTTED, {"runtime.status"})
    assert re.findall(r"^[0-9]\. ", few, re.MULTILINE) == ["1. ", "6. "]
    assert "`att.runtime.status`" in few


def test_a_review_is_given_with_the_tool_that_gives_one() -> None:
    (review,) = [prompt for prompt in prompts.PROMPTS if prompt.name == "review_change"]
    told = prompts.text(review, {"project_id": "p"}, Spelling.UNDERSCORE, SURFACE.tools)
    assert "verdict is wanted, give it with `att_git_pr_review_create`" in told


@pytest.mark.parametrize("name", ["diagnose_crash", "add_tool"])
def test_where_a_version_is_deployed_a_change_is_brought_out_and_not_only_restarted(name: str) -> None:
    (prompt,) = [prompt for prompt in prompts.PROMPTS if prompt.name == name]
    told = prompts.text(prompt, {"project_id": "p", "purpose": "x"}, Spelling.UNDERSCORE, SURFACE.tools)
    (step,) = [step for step in re.split(r"\n(?=[0-9]\. )", told) if "`att_runtime_restart`" in step]
    assert "`artefact_id`" in step and "`att_deploy_run` with build=true" in step


LINE = st.fixed_dictionaries(
    {
        "phase": st.sampled_from([None, "copy", "environment"]),
        "line": st.text(max_size=600),
        "progress": st.none() | st.floats(0, 1),
    }
)


@given(st.lists(LINE | st.none()))
def test_what_is_told_of_long_work_always_grows(lines: list[object]) -> None:
    way, before = Way(), 0.0
    for line in lines:
        far, total, words = way.on(line)
        assert far > before and total is None
        assert words is None or 0 < len(words) <= 500
        before = far


def test_phases_and_lines_are_told_and_each_phase_counts_for_one() -> None:
    way = Way()
    told = [
        way.on({"type": "progress", "phase": "copy", "line": "copy", "progress": None}),
        way.on({"type": "progress", "phase": "test", "line": "2 of 4", "progress": 0.5}),
        way.on({"type": "progress", "phase": "test", "line": "4 of 4", "progress": 1.0}),
        way.on({"type": "done", "state": "succeeded", "error": None}),
    ]
    assert [(far, words) for far, _, words in told] == [
        (0.001, "copy"),
        (1.5, "test: 2 of 4"),
        (2.0, "test: 4 of 4"),
        (2.001, "succeeded"),
    ]
