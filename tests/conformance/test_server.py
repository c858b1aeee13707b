"""The official conformance suite against what carries the daemon's MCP: its bridge and the settings of its sessions.

The suite asks for tools and prompts by name, so a test server that offers them stands behind. Whatever of the suite needs
none of them is asked of the daemon itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from att.config import Settings
from att.mcp.door import session_settings
from att.mcp.mount import mount
from tests.conformance import suite
from tests.conformance.fixtures import Events, make_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

LOCAL = ("127.0.0.1:*", "localhost:*")
SETTINGS = replace(
    session_settings(Settings(home=Path("/nowhere"))),  # as the daemon has them
    hosts=LOCAL,  # the daemon's application looks at Host and Origin itself
    origins=tuple(f"http://{host}" for host in LOCAL),
    events=Events(),
    retry_ms=100,
)


@contextmanager
def served() -> Iterator[str]:
    """The test server behind the bridge, in a loop of its own; its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="conformance")
    thread.start()

    async def open_it() -> tuple[web.AppRunner, str]:
        app = web.Application()
        mount(app, make_server(), settings=SETTINGS)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://localhost:{runner.addresses[0][1]}/mcp"

    runner, url = asyncio.run_coroutine_threadsafe(open_it(), loop).result(30)

    async def close_it() -> None:
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:  # a watcher of sse-starlette, which waits for a uvicorn
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(close_it(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.mark.parametrize(("revision", "scenarios"), [("2025-11-25", 30), ("2026-07-28", 37)])
def test_every_required_scenario_passes(revision: str, scenarios: int, tmp_path: Path) -> None:
    with served() as url:
        found = suite.run(url, tmp_path, "--requirements", revision)
    assert found.failed == {}, found.output[-4000:]
    assert len(found.required) == scenarios, sorted(found.required)
    assert found.code == 0


def test_a_scenario_that_fails_is_named_with_its_reasons(tmp_path: Path) -> None:
    with served() as url:
        found = suite.run(url.removesuffix("/mcp") + "/elsewhere", tmp_path, "--requirements", "2025-11-25")
    assert found.code != 0
    assert found.failed["server-initialize"] != []
