"""From a result or a problem to a response: the headers that every answer has, and the one shape of errors."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel

from att.http.errors import (
    BadRequest,
    BodyTooLarge,
    ExpectationFailed,
    MethodNotAllowed,
    UnknownRoute,
    UnsupportedMediaType,
)
from att.problems import Forbidden, NotFound, Problem, Unauthorized

JSON = "application/json"
PROBLEM = "application/problem+json"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def request_id(given: str | None) -> str:
    """The caller's id of the request when it has one that may be repeated, else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def json_response(body: bytes, status: int = 200) -> web.Response:
    headers = {"Content-Type": JSON, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=body, status=status, headers=headers)


def model_response(result: BaseModel | None, status: int) -> web.Response:
    """The result as JSON, written once, by pydantic's own writer."""
    if result is None:
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    return json_response(result.__pydantic_serializer__.to_json(result), status)


def problem_bytes(problem: Problem, *, instance: str, request_id: str) -> bytes:
    """ASCII only, so that no text that a client sent can make the answer fail."""
    document = problem.document(instance=plain(instance), request_id=request_id)
    document["detail"] = plain(document["detail"])
    return json.dumps(document, default=str).encode()


def plain(text: str) -> str:
    """The text without what UTF-8 cannot carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def problem_response(problem: Problem, *, instance: str, request_id: str) -> web.Response:
    headers = {"Content-Type": PROBLEM, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    headers |= _headers_of(problem)
    body = problem_bytes(problem, instance=instance, request_id=request_id)
    return web.Response(body=body, status=problem.status, headers=headers)


def _headers_of(problem: Problem) -> Mapping[str, str]:
    if isinstance(problem, Unauthorized):
        error = ', error="invalid_token"' if problem.extra.get("reason") == "invalid_token" else ""
        return {"WWW-Authenticate": f'Bearer realm="att"{error}'}
    if isinstance(problem, MethodNotAllowed):
        return {"Allow": ", ".join(problem.extra["allowed"])}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": "1"}
    if problem.status == HTTPStatus.UPGRADE_REQUIRED:
        return {"Upgrade": "websocket", "Connection": "Upgrade"}
    return {}


def from_aiohttp(error: web.HTTPException, method: str, path: str) -> Problem:
    """The problem that stands for an error of aiohttp's own."""
    path = plain(path)
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = sorted(error.allowed_methods)
        return MethodNotAllowed(f"{path} has no {method}, only {', '.join(allowed)}.", allowed=allowed)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return BodyTooLarge("The body is larger than this server takes.")
    known: dict[int, type[Problem]] = {
        401: Unauthorized,
        403: Forbidden,
        404: UnknownRoute,
        415: UnsupportedMediaType,
        417: ExpectationFailed,
    }
    if error.status == HTTPStatus.NOT_FOUND:
        return UnknownRoute(f"There is nothing at {path}.")
    if error.status in known:
        return known[error.status](f"{error.reason}.")
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return BadRequest(f"{error.reason}.")
    return Problem("The request could not be answered.")


def from_parser(status: int, message: str | None) -> Problem:
    """The problem that stands for bytes that are no valid request."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Problem("The request could not be answered.")
    if status == HTTPStatus.NOT_FOUND:
        return NotFound("There is nothing at this address.")
    first = (message or "").strip().split("\n")[0].rstrip(":.")
    return BadRequest(
        f"The request could not be read: {first}." if first else "The request could not be read."
    )
