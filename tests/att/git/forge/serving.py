"""The hub's doors: its routes, what each request must pass, its ETags and quotas, and git over HTTP."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.att.git.forge.description import Description
from tests.att.git.forge.hub import ENV, USER, Handler, Hub, N, P, git, refused


async def _guard(hub: Hub, request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.path.startswith(f"{hub.prefix}/repos/"):
        return await handler(request)
    body, path = await request.read(), request.path.removeprefix(hub.prefix)
    hub.asked.append((request.method, path, dict(request.query)))
    if hub.description is not None:
        faults = hub.description.faults(request.method, path, request.query, body)
        hub.invalid += [f"{request.method} {path}: {fault}" for fault in faults]
    if "vnd.github" not in request.headers["Accept"] or "X-GitHub-Api-Version" not in request.headers:
        hub.invalid.append(f"{request.method} {path}: the headers name no version")
    limits = {"X-RateLimit-Limit": "5000", "X-RateLimit-Reset": str(hub.reset or int(time.time()) + 60)}
    limits["X-RateLimit-Remaining"] = str(hub.remaining)
    fault = next((each for each in hub.faults if each.method in ("", request.method)), None)
    if fault is not None:
        hub.faults.remove(fault)
    if fault is not None and not fault.after:
        return web.json_response(
            {"message": fault.message}, status=fault.status, headers=limits | fault.headers
        )
    user = hub.users.get(request.headers.get("Authorization", "").removeprefix("token "))
    if user is None:
        return refused(401, "Bad credentials")
    if not path.startswith("/repos/octo/app"):
        return refused(404, "Not Found")
    if hub.remaining <= 0:
        return web.json_response({"message": "API rate limit exceeded"}, status=403, headers=limits)
    request[USER] = user
    response = await handler(request)
    if fault is not None:
        return web.json_response({"message": fault.message}, status=fault.status, headers=limits)
    return _with_etag(hub, request, response, limits)


def _with_etag(
    hub: Hub, request: web.Request, response: web.StreamResponse, limits: dict[str, str]
) -> web.StreamResponse:
    response.headers.update(limits)
    if request.method == "GET" and response.status == 200 and isinstance(response, web.Response):
        etag = f'W/"{hashlib.sha256(bytes(response.body or b"")).hexdigest()}"'  # type: ignore[arg-type]
        if request.headers.get("If-None-Match") == etag:
            hub.not_modified += 1
            return web.Response(status=304, headers={**limits, "ETag": etag})
        response.headers["ETag"] = etag
    hub.remaining -= 1
    return response


async def _blob(hub: Hub, request: web.Request) -> web.Response:
    hub.leaked |= "Authorization" in request.headers
    return web.Response(body=hub.logs[int(request.match_info["id"])], content_type="application/zip")


async def _smart(hub: Hub, request: web.Request) -> web.Response:
    """git over HTTP, by git's own program for it."""
    env = ENV | {
        "GIT_PROJECT_ROOT": str(hub.root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": "dev",
    }
    process = await asyncio.create_subprocess_exec("git", "http-backend", stdin=-1, stdout=-1, env=env)
    out, _ = await process.communicate(await request.read())
    head, _, body = out.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, body=body, headers=headers)


@asynccontextmanager
async def serving(root: Path, *, prefix: str = "") -> AsyncIterator[Hub]:
    """A hub with the empty repository octo/app; whatever it was asked must have been right."""
    hub = Hub(root, Description.load(), prefix)
    hub.bare.mkdir(parents=True)
    git(hub.bare, "init", "-q", "--bare", "--initial-branch=main")
    git(hub.bare, "config", "http.receivepack", "true")

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await _guard(hub, request, handler)

    app = web.Application(middlewares=[guard])
    q = prefix
    app.add_routes(
        [
            web.get(q + P, hub.repository),
            web.post(q + P + "/pulls", hub.create),
            web.get(q + P + "/pulls", hub.listed),
            web.get(q + N, hub.one),
            web.patch(q + N, hub.change),
            web.put(q + N + "/merge", hub.merge),
            web.post(q + N + "/reviews", hub.add_review),
            web.get(q + N + "/reviews", hub.list_reviews),
            web.get(q + P + "/actions/runs", hub.list_runs),
            web.get(q + P + r"/actions/runs/{id:\d+}", hub.one_run),
            web.get(q + P + r"/actions/runs/{id:\d+}/logs", hub.run_logs),
            web.post(q + P + r"/actions/runs/{id:\d+}/cancel", hub.cancel),
            web.post(q + P + r"/actions/runs/{id:\d+}/rerun", hub.rerun),
            web.get(q + P + "/commits/{sha}/check-runs", hub.list_check_runs),
            web.get(q + P + r"/check-runs/{id:\d+}", hub.one_check_run),
            web.delete(q + P + "/git/refs/{ref:.+}", hub.delete_ref),
            web.get(r"/blob/{id:\d+}.zip", functools.partial(_blob, hub)),
            web.route("*", "/octo/app.git/{tail:.*}", functools.partial(_smart, hub)),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        hub.port = runner.addresses[0][1]
        yield hub
    finally:
        await runner.cleanup()
    assert not hub.invalid, hub.invalid
    assert not hub.leaked
