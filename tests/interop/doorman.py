"""Lets programs in that cannot show a token: passes every request on to a daemon's `/mcp`, with the token added."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import web

from tests.daemon import RunningDaemon

_OWN = {"content-length", "transfer-encoding", "connection", "date", "server"}


@contextmanager
def opened(daemon: RunningDaemon) -> Iterator[str]:
    """The URL at which no token is needed."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="doorman")
    thread.start()
    opening = _open(daemon)
    runner, session, url = asyncio.run_coroutine_threadsafe(opening, loop).result(30)

    async def close() -> None:
        await session.close()
        await runner.cleanup()

    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _open(daemon: RunningDaemon) -> tuple[web.AppRunner, aiohttp.ClientSession, str]:
    session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))

    async def pass_on(request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        headers["Authorization"] = f"Bearer {daemon.token}"
        body = await request.read()
        async with session.request(
            request.method, f"{daemon.url}/mcp", headers=headers, data=body or None
        ) as told:
            response = web.StreamResponse(status=told.status)
            for name, value in told.headers.items():
                if name.lower() not in _OWN:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for piece in told.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/mcp", pass_on)
    # a client that goes away is gone for the daemon as well
    runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, session, f"http://localhost:{runner.addresses[0][1]}/mcp"
