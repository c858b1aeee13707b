"""Any MCP server at an address of an application: the limits of its sessions, and its coming and going."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import mcp_types as types
from aiohttp import web
from mcp.server.lowlevel import Server

from att.mcp.mount import McpSettings, Mounted, add_routes, mount
from att.mcp.notify import LIST, Listener
from tests.att.mcp.test_door import INITIALIZE, heads, message, told
from tests.att.rooms import on_a_loop
from tests.support import eventually


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool(name="one", input_schema={"type": "object"})])


def server() -> Server[Any]:
    return Server("small", version="1", on_list_tools=list_tools)


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[aiohttp.ClientSession]:
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as http:
            yield http
    finally:
        await runner.cleanup()


async def opened(http: aiohttp.ClientSession) -> tuple[int, str]:
    async with http.post("/mcp", json=INITIALIZE, headers=heads(None)) as response:
        await response.read()
        return response.status, response.headers.get("Mcp-Session-Id", "")


async def lists(http: aiohttp.ClientSession, session: str) -> int:
    given = heads(None, Mcp_Session_Id=session)
    async with http.post("/mcp", json=message("tools/list"), headers=given) as response:
        await response.read()
        return response.status


@on_a_loop
async def test_a_server_of_ones_own_is_served_in_json_or_as_a_stream() -> None:
    for json_answers, kind in ((True, "application/json"), (False, "text/event-stream")):
        app = web.Application()
        mount(app, server(), settings=McpSettings(json_answers=json_answers))
        async with served(app) as http, http.post("/mcp", json=INITIALIZE, headers=heads(None)) as response:
            assert (response.status, response.content_type) == (200, kind)
            assert told(await response.text())["result"]["serverInfo"]["name"] == "small"


@on_a_loop
async def test_names_that_are_not_ours_are_refused_when_they_are_given() -> None:
    app = web.Application()
    mount(app, server(), settings=McpSettings(hosts=("127.0.0.1:*",), origins=("http://127.0.0.1:*",)))
    async with served(app) as http:
        for name, value, status in (("Host", "evil.example", 421), ("Origin", "http://evil.example", 403)):
            async with http.post("/mcp", json=INITIALIZE, headers=heads(None) | {name: value}) as response:
                assert response.status == status
        assert (await opened(http))[0] == 200


@on_a_loop
async def test_sessions_are_bounded_and_the_one_that_was_left_alone_longest_makes_room() -> None:
    app = web.Application()
    mount(app, server(), settings=McpSettings(max_sessions=2))
    async with served(app) as http:
        first, second = [await opened(http) for _ in range(2)]
        assert await lists(http, first[1]) == 200
        third = await opened(http)
        assert (first[0], second[0], third[0]) == (200, 200, 200)
        assert [await lists(http, one[1]) for one in (first, second, third)] == [200, 404, 200]
        async with _listening(http, first[1]), _listening(http, third[1]):  # none of them is idle now
            assert (await opened(http))[0] == 503
        await eventually(lambda: _free(http))


def _listening(http: aiohttp.ClientSession, one: str) -> Any:
    return http.get("/mcp", headers=heads(None, Mcp_Session_Id=one))


@on_a_loop
async def test_an_idle_session_is_forgotten() -> None:
    app = web.Application()
    mount(app, server(), settings=McpSettings(idle_timeout=0.3))
    async with served(app) as http:
        one = (await opened(http))[1]
        assert await lists(http, one) == 200
        loop = asyncio.get_running_loop()
        began = loop.time()
        await eventually(lambda: loop.time() - began > 0.4)  # asking for it would keep it
        assert await lists(http, one) == 404


async def _free(http: aiohttp.ClientSession) -> bool:
    return (await opened(http))[0] == 200


@on_a_loop
async def test_a_load_that_fails_is_tried_again_at_the_next_request() -> None:
    tries = 0

    def load() -> Server[Any]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("the disk is away for a moment")
        return server()

    app = web.Application()
    mounted = Mounted(load, McpSettings())
    add_routes(app, "/mcp", mounted.answer)
    app.on_cleanup.append(lambda _: mounted.close())
    async with served(app) as http:
        assert (await opened(http))[0] == 500
        await mounted.drain()  # nothing is there that could be ended
        assert (await opened(http))[0] == 200
    assert tries == 2


@on_a_loop
async def test_many_first_requests_load_once() -> None:
    loads: list[int] = []

    def load() -> Server[Any]:
        loads.append(1)
        return server()

    app = web.Application()
    mounted = Mounted(load, McpSettings())
    add_routes(app, "/mcp", mounted.answer)
    app.on_cleanup.append(lambda _: mounted.close())
    async with served(app) as http:
        found = await asyncio.gather(*(opened(http) for _ in range(20)))
    assert {status for status, _ in found} == {200}
    assert loads == [1]


@on_a_loop
async def test_a_listener_that_is_slow_hears_of_each_change_once() -> None:
    heard: list[str] = []
    go_on = asyncio.Event()

    async def push(change: str) -> None:
        heard.append(change)
        await go_on.wait()

    listener = Listener(push, can_hear=True)
    listener.addresses = {
        "att://projects": "att://projects",
        "att://project/p/logs": "att://project/p/logs?limit=5",
    }
    listener.hear([LIST])
    await eventually(lambda: heard == [LIST])
    for _ in range(1000):
        listener.hear(["att://projects", "att://project/p/logs", "att://project/other/logs"])
    go_on.set()
    await eventually(lambda: len(heard) == 3)
    assert heard == [LIST, "att://projects", "att://project/p/logs?limit=5"]
    listener.close()
