"""The official SDK's client against the daemon: by HTTP and by the command `att mcp`, in each generation of the protocol."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.daemon import ROOT, RunningDaemon, environment, start
from tests.support import eventually

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def by_http(daemon: RunningDaemon, token: str | None = None, **options: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token if token is not None else daemon.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(f"{daemon.url}/mcp", http_client=http), **options) as client,
    ):
        yield client


@asynccontextmanager
async def by_command(
    daemon: RunningDaemon, token: str | None = None, **options: Any
) -> AsyncIterator[Client]:
    given = environment(daemon.home, daemon.port) | ({} if token is None else {"ATT_TOKEN": token})
    command = StdioServerParameters(command=sys.executable, args=["-m", "att", "mcp"], env=given, cwd=ROOT)
    async with Client(command, **options) as client:
        yield client


ways = pytest.mark.parametrize("connect", [by_http, by_command])
modes = pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])


async def _use(connect: Connect, daemon: RunningDaemon, mode: str) -> None:
    async with connect(daemon, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["att_project_list"].annotations.read_only_hint is True
        assert not [name for name in tools if "." in name]

        for name in ("att_project_list", "att.project.list"):
            listed = await client.call_tool(name, {})
            assert not listed.is_error
            assert [project["name"] for project in listed.structured_content["projects"]] == ["demo"]
            assert json.loads(listed.content[0].text) == listed.structured_content
        refused = await client.call_tool("att_project_get", {"project_id": "nobody"})
        assert refused.is_error and "project_not_found" in refused.content[0].text
        with pytest.raises(MCPError):
            await client.call_tool("att_no_such_tool", {})

        templates = (await client.list_resource_templates()).resource_templates
        assert "att://project/{id}/config" in [template.uri_template for template in templates]
        (found,) = (await client.read_resource("att://projects")).contents
        assert "demo" in found.text
        with pytest.raises(MCPError):
            await client.read_resource("att://project/nobody/config")

        prompts = (await client.list_prompts()).prompts
        assert prompts and all(prompt.description for prompt in prompts)
        with pytest.raises(MCPError):
            await client.get_prompt("no-such-prompt")


@ways
@modes
def test_it_lists_calls_and_reads(connect: Connect, daemon: RunningDaemon, mode: str) -> None:
    asyncio.run(_use(connect, daemon, mode))


@ways
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_it_hears_of_progress(connect: Connect, daemon: RunningDaemon, mode: str) -> None:
    heard: list[float] = []

    async def note(done: float, total: float | None, message: str | None) -> None:
        heard.append(done)

    async def use() -> None:
        async with connect(daemon, mode=mode) as client:
            asked = {"project_id": "demo", "cursor": "newest", "wait": 1.3}
            told = await client.call_tool("att_runtime_logs", asked, progress_callback=note)
            assert not told.is_error, told.content

    asyncio.run(use())
    assert heard and heard == sorted(heard)


@ways
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_it_is_refused_without_a_good_token(connect: Connect, daemon: RunningDaemon, mode: str) -> None:
    async def use() -> None:
        async with connect(daemon, token="att_not-a-token-of-this-house", mode=mode) as client:
            await client.list_tools()

    with pytest.raises(BaseException) as caught:
        asyncio.run(use())
    assert _errors(caught.value), f"not an error of the protocol: {caught.value!r}"


def _errors(error: BaseException) -> list[MCPError]:
    """The protocol's errors in a group of a group of errors."""
    if isinstance(error, BaseExceptionGroup):
        return [found for each in error.exceptions for found in _errors(each)]
    return [error] if isinstance(error, MCPError) else []


def test_the_command_says_why_it_is_refused(daemon: RunningDaemon) -> None:
    async def use() -> None:
        async with by_command(daemon, token="att_not-a-token-of-this-house", mode="legacy"):
            raise AssertionError("it was let in")

    with pytest.raises(BaseException) as caught:
        asyncio.run(use())
    (error, *_) = _errors(caught.value)
    assert error.error.data["status"] == 401 and error.error.data["hint"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_client_of_the_command_does_not_notice_a_restart(
    tmp_path_factory: pytest.TempPathFactory, mode: str
) -> None:
    daemon = start(tmp_path_factory.mktemp("restart") / "home")
    lives = [daemon]

    async def use() -> None:
        async with by_command(daemon, mode=mode) as client:
            await client.list_tools()
            await asyncio.to_thread(daemon.kill)
            late = asyncio.create_task(client.call_tool("att_project_list", {}))
            lives.append(await asyncio.to_thread(start, daemon.home, daemon.port))
            assert not (await late).is_error
            assert await asyncio.to_thread(lives[-1].stop) == 0
            lives.append(await asyncio.to_thread(start, daemon.home, daemon.port))
            assert not (await client.call_tool("att_event_list", {"limit": 1})).is_error

    try:
        asyncio.run(use())
    finally:
        for life in lives:
            if life.process.poll() is None:
                life.stop()


@ways
def test_it_hears_of_changes(connect: Connect, daemon: RunningDaemon) -> None:
    async def use() -> None:
        async with connect(daemon, mode="2026-07-28") as client:
            async with client.listen(resource_subscriptions=["att://projects"]) as changes:
                name = f"new-{connect.__name__}".replace("_", "-")
                made = await client.call_tool("att_project_create", {"name": name, "template": "echo"})
                assert not made.is_error, made.content
                async with asyncio.timeout(10):
                    change = await anext(aiter(changes))
                assert change.uri == "att://projects"
            gone = await client.call_tool("att_project_delete", {"project_id": name})
            assert not gone.is_error, gone.content

    asyncio.run(use())


@ways
@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
def test_a_session_hears_of_changes(connect: Connect, daemon: RunningDaemon) -> None:
    heard: list[str] = []

    async def note(message: Any) -> None:
        heard.append(getattr(getattr(message, "params", None), "uri", "") or type(message).__name__)

    async def use() -> None:
        async with connect(daemon, mode="legacy", message_handler=note) as client:
            await client.subscribe_resource("att://projects")
            name = f"old-{connect.__name__}".replace("_", "-")
            made = await client.call_tool("att_project_create", {"name": name, "template": "echo"})
            assert not made.is_error, made.content
            await eventually(lambda: "att://projects" in map(str, heard))
            await client.call_tool("att_project_delete", {"project_id": name})

    asyncio.run(use())
