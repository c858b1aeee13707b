"""The browser's way in: the token is traded once for a cookie that scripts cannot read.

The cookie is signed, not stored (`att.access`), so signing out takes the cookie away from the browser, and a new token
ends all sessions. The token comes in the body or in the header, never in the query.
"""

from __future__ import annotations

import time

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from att.access import SESSION_SECONDS, Caller
from att.http.answering import model_response
from att.http.errors import BadRequest, BodyTooLarge, MalformedJson, UnsupportedMediaType
from att.http.guard import Guard
from att.problems import InvalidRequest, Unauthorized

LARGEST = 4096
"""Bytes of a body: anybody may send one here."""


class SignIn(BaseModel):
    """The token, which may stand in the header `Authorization` instead."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    token: str | None = Field(default=None, min_length=1, max_length=512, description="The token to trade.")


class SignedIn(BaseModel):
    """Who is signed in, and for how long."""

    actor: str
    scopes: list[str]
    expires_in: int = Field(description="Seconds until the session ends.")


class Session:
    """POST signs in, DELETE signs out."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def begin(self, request: web.Request) -> web.StreamResponse:
        _no_query(request)
        now = time.time()
        token = await self._token(request)
        value = self._guard.access.session_for(token, now) if token else None
        caller = self._guard.access.by_token(token, now) if token else None
        if value is None or caller is None:
            raise Unauthorized(
                "The token is not accepted." if token else "This needs a token.",
                reason="invalid_token" if token else "missing",
            )
        response = model_response(_about(caller), 200)
        response.set_cookie(
            self._guard.cookie,
            value,
            max_age=SESSION_SECONDS,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return response

    async def end(self, request: web.Request) -> web.StreamResponse:
        """Always works, also with a session that has ended already: the cookie is taken away."""
        _no_query(request)
        response = model_response(None, 204)
        response.del_cookie(
            self._guard.cookie, path="/", httponly=True, samesite="Strict", secure=request.secure
        )
        return response

    async def _token(self, request: web.Request) -> str | None:
        body = await _body(request)
        if body:
            if request.content_type != "application/json":
                raise UnsupportedMediaType("The token is sent as JSON, or in the header `Authorization`.")
            try:
                given = SignIn.model_validate_json(body).token
            except ValidationError as error:
                raise _refused(error) from None
            if given is not None:
                return given
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None


async def _body(request: web.Request) -> bytes:
    if not request.body_exists:
        return b""
    found = bytearray()
    async for piece in request.content.iter_any():
        found += piece
        if len(found) > LARGEST:
            raise BodyTooLarge(f"The body is larger than the {LARGEST} bytes that are taken.", limit=LARGEST)
    return bytes(found)


def _about(caller: Caller) -> SignedIn:
    return SignedIn(actor=caller.actor, scopes=sorted(caller.scopes), expires_in=SESSION_SECONDS)


def _no_query(request: web.Request) -> None:
    if request.query_string:
        raise BadRequest(
            "This address takes no query.", hint="Send the token in the body or in `Authorization`."
        )


def _refused(error: ValidationError) -> MalformedJson | InvalidRequest:
    """What is wrong with the body, without what stands in it."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        return MalformedJson("The body is not valid JSON.")
    fields = [
        {"field": ".".join(map(str, each["loc"]))[:200], "in": "body", "message": each["msg"]}
        for each in faults
    ]
    return InvalidRequest(f"`{fields[0]['field']}`: {fields[0]['message']}.", fields=fields)
