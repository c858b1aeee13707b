"""Rooms of tools: how they are chosen, and that nothing else is offered, called or told of, in both generations."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import MCPError

from att.mcp.chosen import checked, chosen, instructions, query, rooms_of, split
from att.mcp.errors import UnknownRoom
from att.mcp.names import Spelling
from att.rooms import ROOMS
from tests.att.mcp.house import MODES, OWNER, house
from tests.att.mcp.test_door import INITIALIZE, MODERN, heads, message, modern, told
from tests.att.rooms import on_a_loop

KNOWN = frozenset({"project", "code", "git"})
each_mode = pytest.mark.parametrize("mode", MODES)


@pytest.mark.parametrize(
    ("asked", "rooms"),
    [
        ("", None),
        ("other=1&rooms2=x", None),
        ("rooms=project", {"project"}),
        ("rooms=project,code", {"project", "code"}),
        ("rooms=project%2C%20code,&x=1", {"project", "code"}),
        ("rooms=project&rooms=git", {"project", "git"}),
    ],
)
def test_the_address_names_the_rooms(asked: str, rooms: set[str] | None) -> None:
    assert chosen(asked, KNOWN) == rooms


@pytest.mark.parametrize(
    "asked", ["rooms", "rooms=", "rooms=,", "rooms=cod", "rooms=code,PROJECT", "rooms=%00"]
)
def test_a_room_that_there_is_not_is_refused_with_those_that_there_are(asked: str) -> None:
    with pytest.raises(UnknownRoom, match="code, git, project") as refused:
        chosen(asked, KNOWN)
    assert refused.value.extra["known"] == ["code", "git", "project"]


@given(st.sets(st.sampled_from(sorted(ROOMS)), min_size=1))
def test_what_is_written_is_read(rooms: set[str]) -> None:
    assert chosen(query(sorted(rooms))[1:], ROOMS) == rooms == checked(split(",".join(rooms)), ROOMS)


@given(st.text(max_size=60))
def test_no_query_is_a_fault_of_ours(asked: str) -> None:
    try:
        found = chosen(f"rooms={asked}", KNOWN)
    except UnknownRoom as problem:
        assert len(problem.detail) < 2000
    else:
        assert found is None or found <= KNOWN


def test_the_way_in_is_one_that_is_offered() -> None:
    assert "Begin with the tool att_project_list" in instructions(Spelling.UNDERSCORE, None)
    assert "att.<room>.<verb>" in instructions(Spelling.DOTTED, None)
    few = instructions(Spelling.UNDERSCORE, frozenset({"git", "code"}))
    assert "Begin with the resource att://projects" in few and "project_list" not in few
    assert few.endswith("only these are offered here, as the client has chosen: code, git.")


@each_mode
def test_only_tools_of_the_chosen_rooms_are_offered_and_called(tmp_path: Path, mode: str) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.client(mode, query="?rooms=work") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names and all(name.startswith("att_work_") for name in names)
            assert (await client.call_tool("att.work.who", {})).structured_content["actor"] == "owner"
            for name in ("att_project_list", "att.project.list"):
                with pytest.raises(MCPError, match="Unknown tool") as error:
                    await client.call_tool(name, {})
                assert error.value.error.code == -32602
            assert (await client.read_resource("att://projects")).contents

    run()


@on_a_loop
async def test_each_request_names_the_rooms_by_its_address(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        async with http.post("/mcp?rooms=work", json=INITIALIZE, headers=heads()) as answer:
            assert "chosen: work." in told(await answer.text())["result"]["instructions"]
            mine = heads(Mcp_Session_Id=answer.headers["Mcp-Session-Id"])
        every = {"mcp", "project", "work"}
        for address, rooms in (
            ("/mcp", every),
            ("/mcp?rooms=project", {"project"}),
            ("/mcp?rooms=work", {"work"}),
        ):
            async with http.post(address, json=message("tools/list"), headers=mine) as answer:
                tools = told(await answer.text())["result"]["tools"]
            assert rooms_of(tool["name"].removeprefix("att_").replace("_", ".") for tool in tools) == rooms


@on_a_loop
async def test_who_stands_alone_is_told_of_the_rooms_when_it_asks(tmp_path: Path) -> None:
    asked = message("server/discover", _meta=MODERN)
    async with house(tmp_path) as there, there.raw() as http:
        for address, some in (("/mcp", False), ("/mcp?rooms=work", True)):
            async with http.post(address, json=asked, headers=modern("server/discover")) as answer:
                said = told(await answer.text())["result"]["instructions"]
            assert ("only these are offered here, as the client has chosen: work." in said) is some


@on_a_loop
async def test_an_unknown_room_is_a_problem_that_names_the_known_ones(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        async with http.post("/mcp?rooms=work,wrok", json=INITIALIZE, headers=heads()) as answer:
            problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["code"]) == (422, "unknown_room")
        assert (problem["unknown"], problem["known"]) == (["wrok"], ["mcp", "project", "work"])
        assert not there.door.mounted.loaded
        async with http.post("/mcp?rooms=wrok", json=INITIALIZE, headers=heads(None)) as answer:
            assert answer.status == 401
    assert OWNER not in str(problem)
