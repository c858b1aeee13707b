"""Who speaks at the MCP door: the same tokens and sessions as at the HTTP door, checked at every request.

A request without a token is told where the metadata of this resource stand (RFC 9728). What is known of the caller travels in
the scope of the request: handlers read it there, and the session manager holds each session to the credential that opened it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from att.access import ANYBODY, Caller
from att.catalogue import Call, Scope
from att.http.answering import problem_response
from att.http.guard import Guard
from att.http.routes import REQUEST_ID
from att.mcp.chosen import Rooms, chosen
from att.mcp.offer import METADATA, PATH
from att.problems import Problem, Unauthorized

KEY = "att"
ROOMS: ContextVar[Rooms | None] = ContextVar("rooms", default=None)
"""Of tools, that the address of the request names; None: all. What answers a request works in its context."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sent one request. `credential` tells two tokens apart and is no secret."""

    caller: Caller
    request_id: str
    credential: str

    @property
    def call(self) -> Call:
        return Call(self.request_id, self.caller.actor, self.caller.scopes, "mcp")


def visitor(request: Any) -> Visitor:
    """Who sent the request that a handler of the SDK is given."""
    found = request.scope[KEY]
    if not isinstance(found, Visitor):
        raise TypeError("the request did not come in by the door")
    return found


class Doorkeeper:
    """Lets requests in. `rooms`: all that there are."""

    def __init__(self, guard: Guard, rooms: Rooms) -> None:
        self._guard = guard
        self._rooms = rooms

    def admit(self, request: web.Request) -> Callable[[], Mapping[str, Any]]:
        """What makes the additions to the scope, with words of the SDK. `Unauthorized` for whom is not known;
        `UnknownRoom` for an address that names one that there is not."""
        found = self.ask(request)
        ROOMS.set(chosen(request.rel_url.raw_query_string, self._rooms))
        return partial(_scope, found)

    def still(self, request: web.Request) -> bool:
        """Whether who sent this request a while ago may still speak."""
        try:
            self.ask(request)
        except Problem:
            return False
        return True

    def ask(self, request: web.Request) -> Visitor:
        headers = request.headers
        cookies = request.cookies if "Cookie" in headers else {}
        caller = self._guard.caller(headers, cookies, request.method, time.time())
        if caller is ANYBODY:
            raise Unauthorized("This needs a token.", reason="missing")
        given = headers.get("Authorization") or cookies.get(self._guard.cookie, "")
        kind = "token" if "Authorization" in headers else "session"
        secret = given.partition(" ")[2].strip() if kind == "token" else given
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        return Visitor(caller, request[REQUEST_ID], f"{kind}:{digest}")


def _scope(found: Visitor) -> Mapping[str, Any]:
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken

    scopes = sorted(map(str, found.caller.scopes))
    token = AccessToken(token=found.credential, client_id=found.credential, scopes=scopes)
    return {KEY: found, "user": AuthenticatedUser(token)}


def unauthorized(problem: Unauthorized, request: web.Request) -> web.Response:
    """The problem, and where a client learns what token is wanted."""
    response = problem_response(problem, instance=request.path, request_id=request[REQUEST_ID])
    at = f"{_base(request)}{METADATA}{PATH}"
    response.headers["WWW-Authenticate"] += f', resource_metadata="{at}"'
    return response


async def metadata(request: web.Request) -> web.StreamResponse:
    """What stands at `/.well-known/oauth-protected-resource`: no server gives out tokens; they are made by `att token`."""
    told = {
        "resource": _base(request) + PATH,
        "resource_name": "ATT",
        "bearer_methods_supported": ["header"],
        "scopes_supported": [str(scope) for scope in Scope if scope is not Scope.OPEN],
    }
    return web.json_response(told, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"  # a name of ours: it was checked at the edge
