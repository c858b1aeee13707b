"""Calls of tools through the official client: results, problems, bounds, progress, cancelling, audit; in both generations."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from mcp import MCPError

from att.mcp.answers import AS_TEXT, LARGEST
from tests.att.mcp.house import MODES, OWNER, READER, WRITER, house
from tests.att.rooms import on_a_loop
from tests.support import eventually

each_mode = pytest.mark.parametrize("mode", MODES)


@each_mode
def test_a_tool_answers_as_its_operation_does(tmp_path: Path, mode: str) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.client(mode) as client:
            given = {
                "name": "n/1?#",
                "number": 5,
                "tags": ["a", "b,c"],
                "text": "ü\n\ufffd",
                "deep": {"x": 1},
            }
            for name in ("att_work_echo", "att.work.echo"):
                answer = await client.call_tool(name, given)
                assert not answer.is_error
                assert answer.structured_content == given
                assert json.loads(answer.content[0].text) == given
            told = await client.call_tool("att_work_who", {})
            assert told.structured_content == {"name": "it", "actor": "owner", "door": "mcp"}
            cleared = await client.call_tool("att_work_clear", {})
            assert cleared.structured_content == {"done": True}

    run()


@each_mode
def test_a_problem_is_the_one_of_http(tmp_path: Path, mode: str) -> None:
    asked: list[tuple[str, dict[str, Any], str, str, Any]] = [
        ("att_work_change", {"name": "busy"}, "POST", "/works/slow", {"name": "busy"}),
        ("att_work_change", {"name": 5}, "POST", "/works/slow", {"name": 5}),
        ("att_work_change", {"nom": "x"}, "POST", "/works/slow", {"nom": "x"}),
        ("att_work_pages", {"limit": 0, "size": "many"}, "GET", "/works/pages?limit=0&size=many", None),
        ("att_work_pages", {"other": 1}, "GET", "/works/pages?other=1", None),
        ("att_work_status", {"name": "nobody"}, "GET", "/works/nobody/runs", None),
        ("att_project_get", {"project_id": "nobody"}, "GET", "/projects/nobody", None),
        ("att_project_list", {"cursor": "!!"}, "GET", "/projects?cursor=!!", None),
        ("att_work_fall", {}, "GET", "/works/broken", None),
    ]

    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.client(mode) as client, there.raw() as http:
            schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
            for tool, given, method, path, body in asked:
                answer = await client.call_tool(tool, given)
                assert answer.is_error
                told = dict(answer.structured_content)
                jsonschema.validate(told, schemas[tool])
                headers = {"Authorization": f"Bearer {OWNER}", "X-Request-Id": told["request_id"]}
                async with http.request(method, f"/api/v1{path}", json=body, headers=headers) as response:
                    assert await response.json(content_type=None) == told
                text = answer.content[0].text
                assert told["code"] in text and told["hint"] in text and told["detail"] in text
                assert "secret insides" not in text

    run()


@on_a_loop
async def test_what_an_argument_may_not_be_is_named(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.client("legacy") as client:
        for given in ({"name": ["x"]}, {"name": "x\0"}, {"name": None}, {}, {"name": {"a": 1}}):
            answer = await client.call_tool("att_work_echo", given)
            assert answer.is_error
            assert answer.structured_content["code"] == "invalid_request", given
            assert {fault["field"] for fault in answer.structured_content["fields"]} == {"name"}
        large = await client.call_tool("att_work_echo", {"name": "x", "number": 2**70})
        assert large.structured_content["fields"][0]["field"] == "number"


@on_a_loop
async def test_an_unknown_tool_is_an_error_of_the_protocol(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.client("legacy") as client:
        for name in ("att_work_nothing", "work.who", "att_work.who"):
            with pytest.raises(MCPError) as error:
                await client.call_tool(name, {})
            assert error.value.error.code == -32602


@on_a_loop
async def test_a_token_sees_and_calls_what_its_scopes_allow(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        names = {}
        for token in (OWNER, READER, WRITER):
            async with there.client("legacy", token) as client:
                names[token] = {tool.name for tool in (await client.list_tools()).tools}
        assert names[READER] == {tool for tool in names[OWNER] if tool in names[READER]} < names[OWNER]
        assert "att_work_look" in names[READER] and "att_work_look" not in names[WRITER]
        assert "att_work_clear" not in names[READER] | names[WRITER]
        async with there.client("2026-07-28", READER) as client:
            refused = await client.call_tool("att_work_clear", {})
            assert refused.structured_content["code"] == "missing_scope"
            assert refused.structured_content["scope"] == "destructive"
        assert [(a.operation, a.outcome, a.actor, a.door) for a in there.audited] == []


@on_a_loop
async def test_what_changes_something_is_audited_as_over_http(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.client("legacy") as client:
        await client.call_tool("att_work_clear", {})
        await client.call_tool("att_work_change", {"name": "busy"})
        await client.call_tool("att_work_who", {})
        told = [(a.operation, a.outcome, a.actor, a.door) for a in there.audited]
        assert told == [("work.clear", "ok", "owner", "mcp"), ("work.change", "work_busy", "owner", "mcp")]
        figures = there.metrics.text().decode()
        assert 'att_requests_total{operation="work.change",status="409"} 1.0' in figures
        assert 'att_requests_total{operation="work.who",status="200"} 1.0' in figures


@each_mode
def test_a_large_page_is_made_smaller_and_its_cursor_goes_on(tmp_path: Path, mode: str) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.client(mode) as client:
            answer = await client.call_tool("att_work_pages", {"limit": 1000, "size": 1000})
            page = answer.structured_content
            assert not answer.is_error
            assert 100 < len(page["items"]) < 260
            assert page["next_cursor"] == len(page["items"])
            assert len(json.dumps(page)) <= LARGEST + len(page["items"]) + 100
            assert len(answer.content[0].text) < AS_TEXT
            refused = await client.call_tool("att_work_pages", {"limit": 1, "size": 500_000})
            assert refused.is_error
            assert refused.structured_content["code"] == "result_too_large"
            assert "limit" in refused.structured_content["hint"]

    run()


@on_a_loop
async def test_an_operation_that_only_streams_answers_with_what_it_told(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.client("legacy") as client:
        three = [{"number": 0}, {"number": 1}, {"number": 2}]
        told = await client.call_tool("att_work_lines", {})
        assert told.structured_content == {"items": three, "complete": True}
        endless = await client.call_tool("att_work_lines", {"name": "endless"})
        assert endless.structured_content == {"items": three, "complete": False}
        archive = await client.call_tool("att_work_raw", {})
        told_archive = archive.structured_content
        assert (told_archive["media_type"], told_archive["size"]) == ("application/gzip", 3072)
        assert base64.b64decode(told_archive["base64"]) == b"\x00\xff" * 1536
        large = await client.call_tool("att_work_raw", {"name": "large"})
        assert large.structured_content["code"] == "result_too_large"


@each_mode
def test_who_waits_for_long_work_is_told_how_it_goes_on(tmp_path: Path, mode: str) -> None:
    @on_a_loop
    async def run() -> None:
        heard: list[tuple[float, float | None, str | None]] = []

        async def hear(far: float, total: float | None, words: str | None) -> None:
            heard.append((far, total, words))

        async with house(tmp_path) as there, there.client(mode) as client:
            call = asyncio.create_task(
                client.call_tool("att_work_begin", {"name": "w", "wait": 30}, progress_callback=hear)
            )
            await eventually(lambda: there.works.begun)
            for number, words in enumerate(("first", "second", "third"), 1):
                there.works.step(words)
                await eventually(lambda n=number: len(heard) == n)
            there.works.gate.set()
            there.works.news.set()
            assert (await call).structured_content == {"name": "w", "state": "succeeded"}
            words = ["work: first", "work: second", "work: third"]
            assert heard == [(number / 4, None, told) for number, told in enumerate(words, 1)]

    run()


@on_a_loop
async def test_a_wait_that_is_over_before_the_work_answers_with_how_it_is(tmp_path: Path) -> None:
    async def hear(far: float, total: float | None, words: str | None) -> None:
        pass

    async with house(tmp_path) as there, there.client("legacy") as client:
        given = {"name": "w", "wait": 0.05}
        answer = await client.call_tool("att_work_begin", given, progress_callback=hear)
        assert answer.structured_content == {"name": "w", "state": "running"}


@each_mode
def test_any_long_call_tells_that_it_lives(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("att.mcp.progress.ticking.__defaults__", (0.02,))

    @on_a_loop
    async def run() -> None:
        heard: list[float] = []

        async def hear(far: float, total: float | None, words: str | None) -> None:
            heard.append(far)
            if len(heard) == 3:
                there.works.gate.set()

        async with house(tmp_path) as there, there.client(mode) as client:
            await client.call_tool("att_work_change", {}, progress_callback=hear)
            assert heard[:3] == sorted(heard[:3])

    run()


@each_mode
def test_to_cancel_ends_a_read_and_only_the_waiting_for_a_change(tmp_path: Path, mode: str) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.client(mode) as client:
            for tool, name in (("att_work_look", "read"), ("att_work_change", "change")):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as both:
                        both.start_soon(client.call_tool, tool, {"name": name})
                        await eventually(lambda n=name: n in there.works.begun)
                        scope.cancel()
            await eventually(lambda: there.works.cancelled == ["read"])
            there.works.gate.set()
            await eventually(lambda: there.works.done == ["change"])
            await eventually(lambda: [a.outcome for a in there.audited] == ["ok"])

    run()
