"""The door by plain HTTP: who is let in, what a session belongs to, what is refused, and how all of it ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from att.access import Grant
from att.catalogue import Scope
from att.mcp.door import MOST
from tests.att.mcp.house import MODES, OWNER, READER, WRITER, House, house
from tests.att.rooms import on_a_loop
from tests.support import eventually

ACCEPT = "application/json, text/event-stream"
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def heads(token: str | None = OWNER, **more: str) -> dict[str, str]:
    found = {"Accept": ACCEPT, "Content-Type": "application/json"}
    if token is not None:
        found["Authorization"] = f"Bearer {token}"
    return found | {name.replace("_", "-"): value for name, value in more.items()}


def modern(method: str, name: str | None = None, token: str = OWNER) -> dict[str, str]:
    found = heads(token, MCP_Protocol_Version="2026-07-28", Mcp_Method=method)
    return found if name is None else found | {"Mcp-Name": name}


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


INITIALIZE = message(
    "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"}
)


def told(text: str) -> Any:
    """The message of an answer, be it JSON or the last of a stream."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return json.loads(lines[-1] if lines else text)


async def session(http: aiohttp.ClientSession, token: str = OWNER) -> str:
    async with http.post("/mcp", json=INITIALIZE, headers=heads(token)) as response:
        assert response.status == 200
        assert told(await response.text())["result"]["protocolVersion"] == "2025-11-25"
        found = response.headers["Mcp-Session-Id"]
    await http.post(
        "/mcp",
        json={"jsonrpc": "2.0", "method": "notifications/initialized"},
        headers=heads(token, Mcp_Session_Id=found),
    )
    return found


@on_a_loop
async def test_without_a_token_the_way_to_one_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        for token, code in ((None, None), ("att_wrong-token-of-nobody", "invalid_token")):
            async with http.post("/mcp", json=INITIALIZE, headers=heads(token)) as response:
                assert response.status == 401
                problem = await response.json(content_type="application/problem+json")
                assert problem["code"] == "unauthorized"
                way = response.headers["WWW-Authenticate"]
                assert f'resource_metadata="{there.url}/.well-known/oauth-protected-resource/mcp"' in way
                assert ('error="invalid_token"' in way) is (code is not None)
        assert not there.door.mounted.loaded  # nobody who may not come in makes the daemon load it
        for address in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"):
            async with http.get(address) as response:
                about = await response.json()
                assert about["resource"] == f"{there.url}/mcp"
                assert about["bearer_methods_supported"] == ["header"]
                assert "write" in about["scopes_supported"]


@on_a_loop
async def test_discovery_needs_no_token(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        async with http.get("/api/v1/mcp/.well-known") as response:
            about = await response.json()
        assert about["protocol_versions"][-1] == "2026-07-28"
        assert about["url"].endswith("/mcp")
        async with http.get("/api/v1/mcp/tools") as response:
            assert response.status == 401


@pytest.mark.parametrize(
    ("name", "value", "status", "code"),
    [
        ("Host", "evil.example", 421, "foreign_host"),
        ("Origin", "https://evil.example", 403, "foreign_origin"),
        ("Origin", "null", 403, "foreign_origin"),
    ],
)
def test_a_foreign_name_or_page_is_refused(
    tmp_path: Path, name: str, value: str, status: int, code: str
) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.raw() as http:
            for address in ("/mcp", "/.well-known/oauth-protected-resource"):
                given = heads() | {name: value}
                async with http.request(
                    "POST" if address == "/mcp" else "GET", address, headers=given
                ) as response:
                    assert response.status == status
                    assert (await response.json(content_type=None))["code"] == code

    run()


@on_a_loop
async def test_a_page_that_is_allowed_may_read_its_session(tmp_path: Path) -> None:
    async with house(tmp_path, cors_origins=["https://friend.example"]) as there, there.raw() as http:
        origin = {"Origin": "https://friend.example"}
        asked = origin | {"Access-Control-Request-Method": "POST"}
        async with http.options("/mcp", headers=asked) as response:
            assert response.status == 204
            assert "Mcp-Session-Id" in response.headers["Access-Control-Allow-Headers"]
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
        async with http.post("/mcp", json=INITIALIZE, headers=heads() | origin) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "https://friend.example"
            assert "Mcp-Session-Id" in response.headers["Access-Control-Expose-Headers"]


@on_a_loop
async def test_a_session_belongs_to_its_token(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        mine = await session(http)
        listing = message("tools/list")
        for token in (READER, WRITER):
            for method in ("POST", "GET", "DELETE"):
                given = heads(token, Mcp_Session_Id=mine)
                async with http.request(method, "/mcp", json=listing, headers=given) as response:
                    assert response.status == 404
        async with http.post("/mcp", json=listing, headers=heads(Mcp_Session_Id=mine)) as response:
            assert response.status == 200
        there.access.revoke("owner")
        async with http.post("/mcp", json=listing, headers=heads(Mcp_Session_Id=mine)) as response:
            assert response.status == 401
        there.access.accept(Grant.of("owner", WRITER, {Scope.READ}))  # the same name, another token
        async with http.post("/mcp", json=listing, headers=heads(WRITER, Mcp_Session_Id=mine)) as response:
            assert response.status == 404


@on_a_loop
async def test_a_revoked_token_ends_what_goes_on_for_it(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http, AsyncExitStack() as stack:
        streams = await _streams(there, http, stack, 2)
        await eventually(lambda: there.streams == 2)
        there.access.revoke("owner")
        for stream in streams:
            async with asyncio.timeout(5):
                await stream.read()
        await eventually(lambda: there.streams == 0)


@on_a_loop
async def test_a_session_that_was_left_is_gone(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        mine = await session(http)
        server = there.door._server
        assert server is not None and len(server.notifier._listeners) == 1
        async with http.delete("/mcp", headers=heads(Mcp_Session_Id=mine)) as response:
            assert response.status == 200
        async with http.post("/mcp", json=message("ping"), headers=heads(Mcp_Session_Id=mine)) as response:
            assert response.status == 404
        await eventually(lambda: not server.notifier._listeners)


@on_a_loop
async def test_what_is_no_message_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    deep = "[" * 100_000
    async with house(tmp_path, body_limit=200_000) as there, there.raw() as http:
        for data in (
            "",
            "{",
            "[]",
            "null",
            '{"jsonrpc":"2.0"}',
            deep,
            '{"jsonrpc":"2.0","id":1,"method":5}',
            "\udcff",
        ):
            for given in (heads(), modern("tools/list")):
                async with http.post(
                    "/mcp", data=data.encode("utf-8", "surrogateescape"), headers=given
                ) as response:
                    assert response.status == 400, (data[:20], await response.text())
        async with http.post("/mcp", data="x" * 200_001, headers=heads()) as response:
            assert response.status == 413
        async with http.post("/mcp", data="[]," * 60_000, headers=heads()) as response:
            assert response.status == 400  # no JSON, and not too much of it
        for method, status in (("PUT", 405), ("HEAD", 405), ("PATCH", 405)):
            async with http.request(method, "/mcp", headers=heads()) as response:
                assert response.status == status
        async with http.get("/mcp", headers=heads()) as response:  # a stream of no session
            assert response.status in (400, 404)
        async with http.post(
            "/mcp", json=message("tools/list"), headers=heads(Mcp_Session_Id="none")
        ) as response:
            assert response.status == 404
        call = message("tools/call", name="att_work_who", arguments={}, _meta=MODERN)
        async with http.post("/mcp", json=call, headers=modern("tools/call", "att_work_look")) as response:
            assert response.status == 400
        async with http.post("/mcp", json=call, headers=modern("tools/call", "att_work_who")) as response:
            assert (await response.json())["result"]["structuredContent"]["door"] == "mcp"


@pytest.mark.parametrize("depth", [150, 400, 900, 5000])
def test_no_depth_of_an_argument_is_a_fault_of_ours(tmp_path: Path, depth: int) -> None:
    @on_a_loop
    async def run() -> None:
        nested = '{"a":' * depth + "1" + "}" * depth
        async with house(tmp_path) as there, there.raw() as http:
            mine = await session(http)
            call = message(
                "tools/call", name="att_work_echo", arguments={"name": "x", "deep": "DEEP"}, _meta=MODERN
            )
            text = json.dumps(call).replace('"DEEP"', nested)
            for given in (modern("tools/call", "att_work_echo"), heads(Mcp_Session_Id=mine)):
                async with http.post("/mcp", data=text, headers=given) as response:
                    answer = told(await response.text())
                if "result" in answer:
                    assert answer["result"]["structuredContent"]["code"] in (
                        "invalid_request",
                        "malformed_json",
                    )
                else:
                    assert answer["error"]["code"] in (-32700, -32600, -32602)

    run()


@on_a_loop
async def test_an_answer_carries_the_id_of_its_request(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        call = message("tools/call", name="att_work_who", arguments={}, _meta=MODERN)
        given = modern("tools/call", "att_work_who") | {"X-Request-Id": "mine-7"}
        async with http.post("/mcp", json=call, headers=given) as response:
            assert response.headers["X-Request-Id"] == "mine-7"
        assert there.works.calls[-1].request_id == "mine-7"


@on_a_loop
async def test_a_browsers_session_counts_too_and_only_from_our_own_page(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        async with http.post("/api/v1/session", json={"token": READER}) as response:
            assert response.status == 200
            cookie = response.headers["Set-Cookie"].partition(";")[0]
        given = heads(None) | {"Cookie": cookie}
        async with http.post("/mcp", json=INITIALIZE, headers=given) as response:
            assert response.status == 403
        async with http.post("/mcp", json=INITIALIZE, headers=given | {"Origin": there.url}) as response:
            assert response.status == 200


@pytest.mark.parametrize("kind", MODES)
def test_who_goes_away_ends_what_it_asked_for(tmp_path: Path, kind: str) -> None:
    """A newer client cancels by going away; an older one's read goes on, since it may come back for it."""

    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.raw() as http:
            call = message("tools/call", name="att_work_look", arguments={}, _meta=MODERN)
            given = modern("tools/call", "att_work_look")
            if kind == "legacy":
                call = message("tools/call", name="att_work_look", arguments={})
                given = heads(Mcp_Session_Id=await session(http))
            asking = asyncio.create_task(http.post("/mcp", json=call, headers=given))
            await eventually(lambda: there.works.begun)
            if kind == "legacy":
                (await asking).close()
                there.works.gate.set()
                await eventually(lambda: there.works.done == ["it"])
            else:
                asking.cancel()
                await eventually(lambda: there.works.cancelled == ["it"])

    run()


async def _streams(there: House, http: aiohttp.ClientSession, stack: AsyncExitStack, count: int) -> list[Any]:
    """Streams that go on for ever, half of each generation."""
    opened = []
    for number in range(count):
        if number % 2:
            mine = await session(http)
            given = heads(Mcp_Session_Id=mine, Accept="text/event-stream")
            response = await stack.enter_async_context(http.get("/mcp", headers=given))
        else:
            asked = message(
                "subscriptions/listen", notifications={"resourcesListChanged": True}, _meta=MODERN
            )
            given = modern("subscriptions/listen")
            response = await stack.enter_async_context(http.post("/mcp", json=asked, headers=given))
        assert (response.status, response.content_type) == (200, "text/event-stream")
        opened.append(response)
    return opened


@on_a_loop
async def test_a_drain_ends_streams_and_lets_calls_finish(tmp_path: Path) -> None:
    async with (
        house(tmp_path, finish=20) as there,
        aiohttp.ClientSession(there.url, connector=aiohttp.TCPConnector(limit=0)) as http,
        AsyncExitStack() as stack,
    ):
        streams = await _streams(there, http, stack, 20)
        calls = []
        for kind in MODES:
            call = message("tools/call", name="att_work_change", arguments={"name": kind}, _meta=MODERN)
            given = modern("tools/call", "att_work_change")
            if kind == "legacy":
                del call["params"]["_meta"]
                given = heads(Mcp_Session_Id=await session(http))
            calls.append(asyncio.create_task(http.post("/mcp", json=call, headers=given)))
            await eventually(lambda k=kind: k in there.works.begun)
        stopping = asyncio.create_task(there.runner.cleanup())
        for stream in streams:
            async with asyncio.timeout(5):
                await stream.read()
        assert not stopping.done()
        there.works.gate.set()
        for call in calls:
            async with await call as response:
                assert told(await response.text())["result"]["structuredContent"]["name"] in MODES
        async with asyncio.timeout(5):
            await stopping
        assert sorted(there.works.done) == sorted(MODES)


@on_a_loop
async def test_no_stream_begins_while_the_daemon_stops_but_calls_are_answered(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        mine = await session(http)
        await there.door.mounted.drain()
        asked = message("subscriptions/listen", notifications={}, _meta=MODERN)
        async with http.post("/mcp", json=asked, headers=modern("subscriptions/listen")) as response:
            assert response.status == 503
        given = heads(Mcp_Session_Id=mine, Accept="text/event-stream")
        async with asyncio.timeout(5), http.get("/mcp", headers=given) as response:
            await response.read()
        async with http.post("/mcp", json=message("ping"), headers=heads(Mcp_Session_Id=mine)) as response:
            assert response.status == 200


@on_a_loop
async def test_who_opens_very_many_sessions_loses_only_their_own(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        mine = await session(http)
        theirs = [await session(http, READER) for _ in range(260)]
        assert (await lists(http, OWNER, mine), await lists(http, READER, theirs[0])) == (200, 404)
        assert await lists(http, READER, theirs[-1]) == 200


async def lists(http: aiohttp.ClientSession, token: str, one: str) -> int:
    async with http.post(
        "/mcp", json=message("tools/list"), headers=heads(token, Mcp_Session_Id=one)
    ) as response:
        await response.read()
        return response.status


@on_a_loop
async def test_a_large_message_may_have_large_texts_but_not_very_many_values(tmp_path: Path) -> None:
    async with house(tmp_path) as there, there.raw() as http:
        for arguments, status in (({"note": "x" * 300_000}, 200), ({"note": [[]] * 200_000}, 413)):
            call = message("tools/call", name="att_work_who", arguments=arguments, _meta=MODERN)
            async with http.post("/mcp", json=call, headers=modern("tools/call", "att_work_who")) as response:
                assert response.status == status, await response.text()
        async with http.post("/mcp", data=b"x" * (MOST + 1), headers=heads()) as response:
            assert response.status == 413
