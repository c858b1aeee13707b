"""Health as the launcher asks for it: on a unix socket of this life's own, answered by the event loop, so a stuck one does not.

`well` gives the reason why this life is not to be counted on now, or nothing. Nothing of it is looked up: it must not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web


async def serve(path: Path, release: str, boot_id: str, well: Callable[[], str | None]) -> web.AppRunner:
    """Answers from now on, until the runner is cleaned up."""

    async def answer(_request: web.Request) -> web.Response:
        reason = well()
        told = {"status": "ok" if reason is None else "unavailable", "release": release, "boot_id": boot_id}
        if reason is not None:
            told["reason"] = reason
        return web.json_response(told, status=200 if reason is None else 503)

    private = web.Application()
    private.router.add_get("/health", answer)
    runner = web.AppRunner(private, handle_signals=False, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    return runner
