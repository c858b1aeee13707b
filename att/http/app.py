"""The application: every operation of the catalogue at its address, and the few addresses that are the door's own.

Around all of them stands one edge: it gives each request its id, refuses foreign names and pages, and turns whatever
goes wrong into the one shape of errors. An error that nobody foresaw is logged here, once, and told without its insides.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware
from aiohttp.web_exceptions import HTTPException

from att.access import Access
from att.catalogue import Bound, Scope
from att.config import Settings
from att.http.answering import from_aiohttp, plain, problem_response, request_id
from att.http.bodies import sent
from att.http.docs import Docs
from att.http.errors import BadRequest, ExpectationFailed
from att.http.front import Front
from att.http.guard import SAFE, Guard, require
from att.http.openapi import API, Document
from att.http.routes import COUNT, REQUEST_ID, Answer, Audit, Doorway, Route
from att.http.session import Session
from att.http.sockets import Socket
from att.http.streams import Streams
from att.metrics import CONTENT_TYPE, Metrics
from att.problems import Problem

PAGE = Path(__file__).parent / "page" / "index.html"
FOREIGN: web.RequestKey[bool] = web.RequestKey("foreign", bool)  # from another page, one that is allowed
STREAMS: web.AppKey[Streams] = web.AppKey("streams", Streams)
Drain = Callable[[], Awaitable[None]]
DRAINS: web.AppKey[list[Drain]] = web.AppKey("drains", list[Drain])  # of other doors in the same application
# WebSocket address: the operation whose NDJSON stream it carries.
SOCKETS: Mapping[str, str] = {"/projects/{project_id}/ws": "event.stream_project"}

log = structlog.get_logger("att.http")


def make_app(
    bound: Mapping[str, Bound],
    access: Access,
    settings: Settings,
    *,
    metrics: Metrics | None = None,
    audit: Audit | None = None,
    sockets: Mapping[str, str] = SOCKETS,
    page: Path = PAGE,
    version: str = "",
) -> web.Application:
    """The application, to be served by `att.http.server.make_runner`.

    Its streams end when the runner is cleaned up; `drain` does it sooner.
    """
    metrics = metrics or Metrics(version, settings.release)
    streams = Streams(metrics, settings.heartbeat)
    guard = Guard(access, settings)
    doorway = Doorway(guard, streams, metrics, settings.body_limit, audit)
    app = web.Application(client_max_size=settings.body_limit, middlewares=[_edge(guard, metrics)])
    app[STREAMS] = streams
    app[DRAINS] = []
    app.on_shutdown.append(drain)
    app.on_response_prepare.append(_head)
    table: dict[str, dict[str, Answer]] = {}
    for each in bound.values():
        table.setdefault(API + each.operation.path, {})[each.operation.method] = Route(each, doorway)
        if each.operation.also:
            other = Bound(each.operation.at_also(), each.collaborators)
            table.setdefault(API + other.operation.path, {})[other.operation.method] = Route(other, doorway)
    for path, name in sockets.items():
        if name in bound:
            table.setdefault(API + path, {})["GET"] = Socket(bound[name], doorway, settings.heartbeat)
    session = Session(guard)
    document = Document([each.operation for each in bound.values()], version)
    table[f"{API}/session"] = {"POST": session.begin, "DELETE": session.end}
    table[f"{API}/openapi.json"] = {"GET": _needs(guard, Scope.READ, document.answer)}
    table["/metrics"] = {"GET": _needs(guard, Scope.READ, _figures(metrics))}
    table["/"] = {"GET": Front(page).answer}
    table["/docs"] = {"GET": Docs([each.operation for each in bound.values()], version).answer}
    for path, methods in sorted(table.items()):
        _add(app, path, methods)
    return app


async def drain(app: web.Application) -> None:
    """End every stream after a whole piece. New ones are refused; all else goes on."""
    app[STREAMS].drain()
    for end in app[DRAINS]:
        await end()


def _add(app: web.Application, path: str, methods: Mapping[str, Answer]) -> None:
    """All methods of one address, and HEAD and OPTIONS as HTTP means them."""
    resource = app.router.add_resource(path)
    both = {**methods}
    if "GET" in methods:
        both.setdefault("HEAD", methods["GET"])
    both["OPTIONS"] = _options(sorted({*both, "OPTIONS"}))
    for method, answer in both.items():
        resource.add_route(method, _handler(answer), expect_handler=_expect)


def _handler(answer: Answer) -> Answer:
    """aiohttp takes coroutine functions only."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(request)

    return handle


def _options(methods: list[str]) -> Answer:
    allow = ", ".join(methods)

    async def options(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204, headers={"Allow": allow})

    return options


async def _expect(request: web.Request) -> web.StreamResponse | None:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
        return None
    problem = ExpectationFailed("Only `100-continue` can be expected.")
    request[REQUEST_ID] = given = request_id(request.headers.get("X-Request-Id"))
    return problem_response(problem, instance=request.path, request_id=given)


def _needs(guard: Guard, scope: Scope, answer: Answer) -> Answer:
    async def guarded(request: web.Request) -> web.StreamResponse:
        require(guard.caller(request.headers, request.cookies, request.method, time.time()), scope)
        if request.query:
            raise BadRequest("This address takes no query.", hint="Leave the part after `?` out.")
        return await answer(request)

    return guarded


def _figures(metrics: Metrics) -> Answer:
    async def figures(request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=metrics.text(), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        )

    return figures


def _edge(guard: Guard, metrics: Metrics) -> Middleware:
    unknown = metrics.requests.labels("none", "404")

    @web.middleware
    async def edge(request: web.Request, handler: Answer) -> web.StreamResponse:
        began = time.monotonic()
        headers = request.headers
        request[REQUEST_ID] = id_ = request_id(headers.get("X-Request-Id"))
        host, origin = headers.get("Host"), headers.get("Origin")
        try:
            guard.host(host)
            request[FOREIGN] = guard.origin(origin, host)
            response = await _answered(request, handler)
        except Problem as problem:
            response = problem_response(problem, instance=request.path, request_id=id_)
        count = request.get(COUNT)
        if count is not None:
            count(response.status, time.monotonic() - began)
        elif response.status == 404:
            unknown.inc()
        return await sent(request, response)

    return edge


async def _answered(request: web.Request, handler: Answer) -> web.StreamResponse:
    """The handler's answer; a `Problem` for all that is not one already."""
    try:
        return await handler(request)
    except (Problem, ConnectionError, asyncio.CancelledError):
        raise
    except HTTPException as error:
        raise from_aiohttp(error, request.method, request.path) from None
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise BadRequest(f"The body could not be read: {plain(str(error))[:200]}.") from None
    except Exception as error:
        log.error(
            "request_failed",
            method=request.method,
            path=plain(request.path),
            request_id=request[REQUEST_ID],
            error=type(error).__name__,
            traceback=traceback.format_exc(),  # not left to the log, which may print variables, tokens among them
        )
        raise Problem("Something went wrong that was not foreseen.") from None


async def _head(request: web.Request, response: web.StreamResponse) -> None:
    """The headers that every answer has."""
    response.headers["Server"] = "att"
    id_ = request.get(REQUEST_ID)
    response.headers["X-Request-Id"] = (
        id_ if id_ is not None else request_id(request.headers.get("X-Request-Id"))
    )
    if request.get(FOREIGN):
        _allow_origin(request, response, request.headers["Origin"])


def _allow_origin(request: web.Request, response: web.StreamResponse, origin: str) -> None:
    """What a browser needs to hand the answer to a page of a configured origin."""
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = "X-Request-Id, ETag, Mcp-Session-Id, WWW-Authenticate"
    response.headers["Vary"] = "Origin"
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        allowed = response.headers.get("Allow", ", ".join(SAFE))
        response.headers["Access-Control-Allow-Methods"] = allowed
        response.headers["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, Last-Event-ID, If-Match, If-None-Match, X-Request-Id, "
            "Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name"
        )
        response.headers["Access-Control-Max-Age"] = "600"
