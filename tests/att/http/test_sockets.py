"""The WebSocket form of a stream."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from att.access import Grant, digest_of
from att.catalogue import Scope
from tests.att.http.house import TOKEN, Served
from tests.support import eventually, eventually_sync

GUEST = "att_test-token-of-a-guest"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
PATH = "/api/v1/things/lamp/ws"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def talk(
    house: Served, talk_to: Callable[[aiohttp.ClientWebSocketResponse], Awaitable[None]], **options: object
) -> None:
    headers = {"Authorization": f"Bearer {options.get('token', TOKEN)}"}

    async def connect() -> None:
        async with (
            aiohttp.ClientSession(house.url) as session,
            session.ws_connect(str(options.get("path", PATH)), headers=headers, origin=house.url) as plug,
        ):
            await talk_to(plug)

    asyncio.run(connect())


def test_each_line_is_a_message_and_the_stream_goes_on_from_a_cursor(house: Served) -> None:
    house.call(house.things.grow, "one", "two")

    async def first(plug: aiohttp.ClientWebSocketResponse) -> None:
        assert [(await plug.receive_json())["text"] for _ in range(2)] == ["one", "two"]
        house.call(house.things.grow, "three")
        assert (await plug.receive_json()) == {"cursor": "3", "text": "three"}
        await plug.send_str("whatever the client says is passed over")

    async def second(plug: aiohttp.ClientWebSocketResponse) -> None:
        assert (await plug.receive_json())["text"] == "three"

    talk(house, first)
    talk(house, second, path=f"{PATH}?cursor=2")
    eventually_sync(lambda: (house.streams, house.things.closed) == (0, 2))


def test_a_stop_of_the_daemon_is_told_by_the_close_code(house: Served) -> None:
    async def wait(plug: aiohttp.ClientWebSocketResponse) -> None:
        await eventually(lambda: house.streams == 1)
        stopping = asyncio.get_running_loop().run_in_executor(None, house.run, house.runner.cleanup())
        message = await plug.receive(timeout=10)
        assert (message.type, plug.close_code) == (aiohttp.WSMsgType.CLOSE, 1012)
        await stopping

    talk(house, wait)


@pytest.mark.parametrize(("word", "code"), [("conflict", "thing_exists"), ("boom", None)])
def test_an_error_in_the_middle_closes_with_1011(house: Served, word: str, code: str | None) -> None:
    async def wait(plug: aiohttp.ClientWebSocketResponse) -> None:
        house.call(house.things.grow, word)
        message = await plug.receive(timeout=10)
        if code is not None:
            assert json.loads(message.data)["problem"]["code"] == code
            message = await plug.receive(timeout=10)
        assert (message.type, plug.close_code) == (aiohttp.WSMsgType.CLOSE, 1011)

    talk(house, wait)


def test_what_is_unknown_is_refused_before_the_upgrade(shared: Served) -> None:
    answer = shared.ask("GET", "/things/none/ws", headers=HANDSHAKE)
    assert (answer.status, answer.problem["code"]) == (404, "thing_not_found")
    answer = shared.ask("GET", "/things/lamp/ws?cursor=x", headers=HANDSHAKE)
    assert answer.problem["code"] == "bad_cursor"


def test_nobody_is_let_in_without_a_token_or_from_another_page(shared: Served) -> None:
    assert shared.ask("GET", "/things/lamp/ws", token=None, headers=HANDSHAKE).status == 401
    foreign = {**HANDSHAKE, "Origin": "http://evil.example"}
    assert shared.ask("GET", "/things/lamp/ws", headers=foreign).problem["code"] == "foreign_origin"
    value = str(shared.ask("POST", "/session").headers["Set-Cookie"]).split(";")[0]
    without = {**HANDSHAKE, "Cookie": value}
    assert (
        shared.ask("GET", "/things/lamp/ws", token=None, headers=without).problem["code"] == "foreign_origin"
    )


def test_a_request_that_is_no_handshake(shared: Served) -> None:
    answer = shared.ask("GET", "/things/lamp/ws")
    assert (answer.status, answer.problem["code"], answer.headers["Upgrade"]) == (
        426,
        "upgrade_required",
        "websocket",
    )
    broken = {**HANDSHAKE, "Sec-WebSocket-Key": "x"}
    assert shared.ask("GET", "/things/lamp/ws", headers=broken).status == 426


def test_a_token_that_is_revoked_or_has_ended_closes_it_with_1008(house: Served) -> None:
    until = time.time() + 3600
    house.call(house.access.accept, Grant("guest", digest_of(GUEST), frozenset({Scope.READ}), until))

    async def wait(plug: aiohttp.ClientWebSocketResponse) -> None:
        await eventually(lambda: house.streams == 1)
        past = Grant("guest", digest_of(GUEST), frozenset({Scope.READ}), time.time())
        house.call(house.access.accept, past)
        message = await plug.receive(timeout=10)
        assert (message.type, plug.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)

    talk(house, wait, token=GUEST)
