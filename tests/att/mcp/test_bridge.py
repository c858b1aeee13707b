"""The bridge between aiohttp and ASGI, with applications of a few lines on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from att.mcp.bridge import AsgiBridge
from tests.att.mcp.house import MODES, house
from tests.att.mcp.test_door import INITIALIZE, heads, modern, session
from tests.att.rooms import on_a_loop
from tests.support import eventually


@asynccontextmanager
async def serving(asgi: Any) -> AsyncIterator[tuple[AsgiBridge, aiohttp.ClientSession]]:
    bridge = AsgiBridge(asgi, poll=0.01)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await bridge.answer(request, {"state": {"who": "me"}})

    app = web.Application()
    app.router.add_route("*", "/x", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            yield bridge, session
    finally:
        await runner.cleanup()


def start(status: int, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


@on_a_loop
async def test_the_request_arrives_as_it_was_sent() -> None:
    seen: dict[str, Any] = {}

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        data = b""
        while (message := await receive())["type"] == "http.request":
            data += message["body"]
            if not message["more_body"]:
                break
        seen["body"] = data
        await send(start(202, (b"content-length", b"0"), (b"x-a", b"1"), (b"x-a", b"2")))
        await send(body())

    async with serving(asgi) as (_, session):
        sent = b"\x00\xff" * 100_000
        async with session.post("/x?a=1%20b", data=sent, headers={"X-Mine": "ü"}) as response:
            assert response.status == 202
            assert response.headers.getall("x-a") == ["1", "2"]
            assert await response.read() == b""
    assert seen["body"] == sent
    assert (seen["method"], seen["path"], seen["query_string"]) == ("POST", "/x", b"a=1%20b")
    assert (b"x-mine", "ü".encode()) in seen["headers"]
    assert seen["state"] == {"who": "me"}


@on_a_loop
async def test_an_answer_with_a_length_is_whole_and_one_without_comes_in_pieces() -> None:
    go_on = asyncio.Event()

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["query_string"] == b"whole":
            await send(start(200, (b"content-length", b"6")))
            await send(body(b"abc", more=True))
            await send(body(b"def"))
            return
        await send(start(200, (b"content-type", b"text/event-stream")))
        await send(body(b"first\n", more=True))
        await go_on.wait()
        await send(body(b"last\n"))
        await send(body(b"too late"))

    async with serving(asgi) as (_, session):
        async with session.get("/x?whole") as response:
            assert (response.headers["Content-Length"], await response.read()) == ("6", b"abcdef")
        async with session.get("/x") as response:
            assert await response.content.readline() == b"first\n"  # before the last was sent
            go_on.set()
            assert await response.read() == b"last\n"


@on_a_loop
async def test_who_listens_waits_until_the_client_is_gone() -> None:
    told: list[str] = []
    asked = 0

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        await send(start(200, (b"content-type", b"text/event-stream")))
        await send(body(b"on\n", more=True))
        while (message := await receive())["type"] != "http.disconnect":
            asked += 1
        told.append(message["type"])

    async with serving(asgi) as (bridge, session):
        response = await session.post("/x", data=b"abc")
        await response.content.readline()
        await eventually(lambda: bridge.waiting == 1)
        assert (told, asked) == ([], 1)  # the body, and then nothing: `receive` does not spin
        response.close()
        await eventually(lambda: told == ["http.disconnect"])
        assert bridge.waiting == 0


@on_a_loop
async def test_a_drain_ends_what_is_got_and_leaves_what_was_posted() -> None:
    ended: list[str] = []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, (b"content-type", b"text/event-stream")))
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.append(scope["method"])

    async with serving(asgi) as (bridge, session):
        responses = [await session.get("/x") for _ in range(20)] + [await session.post("/x")]
        await eventually(lambda: bridge.waiting == 21)
        bridge.drain()
        await eventually(lambda: ended == ["GET"] * 20)
        async with session.get("/x"):  # and none goes on for ever from now on
            await eventually(lambda: ended == ["GET"] * 21)
        for response in responses:
            response.close()
        await eventually(lambda: ended[-1] == "POST")


@on_a_loop
async def test_an_application_without_an_answer_is_a_fault() -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        return None

    async def falls(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("before it began")

    for app in (asgi, falls):
        async with serving(app) as (_, session), session.get("/x") as response:
            assert response.status == 500


@pytest.mark.parametrize("kind", MODES)
def test_who_goes_away_in_the_middle_of_a_message_is_no_fault_of_ours(tmp_path: Path, kind: str) -> None:
    @on_a_loop
    async def run() -> None:
        async with house(tmp_path) as there, there.raw() as http:
            given = modern("tools/list") if kind != "legacy" else heads(Mcp_Session_Id=await session(http))
            with capture_logs() as said:
                _, writer = await asyncio.open_connection("127.0.0.1", int(there.url.rpartition(":")[2]))
                head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
                writer.write(
                    f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n{head}\r\n{{".encode()
                )
                await writer.drain()
                await eventually(lambda: there.door.mounted.loaded)
                writer.close()
                async with http.post("/mcp", json=INITIALIZE, headers=heads()) as answer:
                    assert answer.status == 200
            assert [one for one in said if one["event"] == "request_failed"] == []

    run()
