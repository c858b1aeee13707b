"""The MCP door of a real daemon: the whole catalogue, a project's resources, a quick end, and what it costs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from att.rooms import catalogue
from tests.att.mcp.test_door import INITIALIZE, MODERN, heads, message, modern
from tests.att.rooms import on_a_loop
from tests.daemon import ROOT, RunningDaemon, environment, running
from tests.support import eventually, unmeasured

PRINTS = [sys.executable, "-c", "import time\nwhile True: print('tick', flush=True); time.sleep(0.05)"]
ALIVE = '[[runtime.probe]]\nkind = "process"\nuse = ["startup", "readiness", "liveness"]\n'


@asynccontextmanager
async def client(daemon: RunningDaemon, mode: str, **options: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {daemon.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as web,
        Client(streamable_http_client(f"{daemon.url}/mcp", http_client=web), mode=mode, **options) as opened,
    ):
        yield opened


@on_a_loop
async def test_an_agent_runs_an_app_and_follows_its_log(tmp_path: Path) -> None:
    with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
        daemon.project("app", PRINTS, ALIVE)
        async with client(daemon, "2026-07-28") as agent:
            names = {tool.name for tool in (await agent.list_tools()).tools}
            assert names == {f"att_{o.name.replace('.', '_')}" for o in catalogue()}
            uris = {str(found.uri) for found in (await agent.list_resources()).resources}
            assert {"att://projects", "att://project/app/logs", "att://project/app/files"} <= uris
            log = "att://project/app/logs"
            async with agent.listen(resource_subscriptions=[log, "att://projects"]) as changes:
                started = await agent.call_tool("att_runtime_start", {"project_id": "app"})
                assert started.structured_content["state"] == "running"
                heard = set()
                async with asyncio.timeout(10):
                    while len(heard) < 2:
                        heard.add((await anext(changes)).uri)
                assert heard == {log, "att://projects"}
            page = json.loads((await agent.read_resource(f"{log}?limit=1&cursor=oldest")).contents[0].text)
            assert [line["text"] for line in page["lines"]] == ["tick"]
            files = json.loads((await agent.read_resource("att://project/app/files")).contents[0].text)
            assert "att.toml" in json.dumps(files)
        async with client(daemon, "legacy") as agent:
            again = await agent.call_tool("att_runtime_start", {"project_id": "app"})
            assert again.structured_content["code"] == "runtime_already_running"
            stopped = await agent.call_tool("att.runtime.stop", {"project_id": "app"})
            assert stopped.structured_content["state"] == "stopped"
        assert "Traceback" not in daemon.said


@on_a_loop
async def test_who_listened_to_a_log_before_there_was_one_hears_of_it(tmp_path: Path) -> None:
    log = "att://project/late/logs"
    with running(tmp_path / "home", ATT_LOG_LEVEL="info") as daemon:
        async with (
            client(daemon, "2026-07-28") as agent,
            agent.listen(resource_subscriptions=[log]) as changes,
        ):
            await eventually(lambda: "log_not_watched" in daemon.said)
            daemon.project("late", PRINTS, ALIVE)
            await agent.call_tool("att_runtime_start", {"project_id": "late"})
            async with asyncio.timeout(10):
                assert (await anext(changes)).uri == log


@on_a_loop
async def test_ninety_open_streams_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
        token = daemon.token
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(daemon.url, connector=connector) as web:
            streams = []
            for number in range(90):
                if number % 2:
                    async with web.post("/mcp", json=INITIALIZE, headers=heads(token)) as opened:
                        mine = opened.headers["Mcp-Session-Id"]
                    given = heads(token, Mcp_Session_Id=mine, Accept="text/event-stream")
                    streams.append(await web.get("/mcp", headers=given))
                else:
                    wanted = {"resourcesListChanged": True}
                    asked = message("subscriptions/listen", notifications=wanted, _meta=MODERN)
                    given = modern("subscriptions/listen", token=token)
                    streams.append(await web.post("/mcp", json=asked, headers=given))
            assert {(s.status, s.content_type) for s in streams} == {(200, "text/event-stream")}
            began = time.monotonic()
            code = await asyncio.to_thread(daemon.stop, 10)
            assert code == 0
            assert time.monotonic() - began < 5
            for stream in streams:
                await stream.read()  # each ended whole
        assert "Traceback" not in daemon.said


def test_a_daemon_that_no_agent_speaks_with_does_not_load_the_sdk(tmp_path: Path) -> None:
    code = "import sys, att.daemon\nprint(sorted({m.split('.')[0] for m in sys.modules} & {'mcp', 'mcp_types', 'starlette'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_door_answers_while_the_sdk_is_being_loaded(tmp_path: Path) -> None:
    with running(tmp_path / "home", ATT_LOG_LEVEL="warning") as daemon:
        first = subprocess.Popen(
            [sys.executable, "-c", _FIRST.format(port=daemon.port, token=daemon.token)],
            env=unmeasured() | environment(daemon.home, daemon.port),
            stdout=subprocess.PIPE,
        )
        slowest = 0.0
        while first.poll() is None:
            began = time.monotonic()
            assert daemon.answers()
            slowest = max(slowest, time.monotonic() - began)
        assert first.stdout is not None and first.stdout.read().strip() == b"200"
        assert slowest < 0.5


_FIRST = """
import http.client, json
c = http.client.HTTPConnection("127.0.0.1", {port}, timeout=30)
body = json.dumps({{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {{"protocolVersion": "2025-11-25",
    "capabilities": {{}}, "clientInfo": {{"name": "t", "version": "1"}}}}}})
c.request("POST", "/mcp", body, {{"Authorization": "Bearer {token}", "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream"}})
print(c.getresponse().status)
"""
