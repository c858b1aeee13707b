"""The mistakes that are seen at the HTTP door itself, before an operation is reached."""

from __future__ import annotations

from att.problems import Forbidden, NotFound, Problem


class UnknownRoute(NotFound):
    code, title = "route_not_found", "There is nothing at this address"
    hint = "The operations stand in /api/v1/openapi.json."


class MethodNotAllowed(Problem):
    """Raised with `allowed`, the methods that there are."""

    code, status, title = "method_not_allowed", 405, "This address has no such method"
    hint = "Use one of the methods that are named."


class BadRequest(Problem):
    code, status, title = "bad_request", 400, "The request is not valid HTTP"
    hint = "Send a well-formed HTTP/1.1 request."


class MalformedJson(BadRequest):
    code, title = "malformed_json", "The body is not valid JSON"
    hint = "Send one JSON object in UTF-8."


class BodyTooLarge(Problem):
    """Raised with `limit`, in bytes."""

    code, status, title = "body_too_large", 413, "The body is too large"
    hint = "Send less; the setting `body_limit` says how much is taken."


class UnsupportedMediaType(Problem):
    code, status, title = "unsupported_media_type", 415, "The body has another media type than is taken"
    hint = "Send JSON with the header `Content-Type: application/json`."


class ExpectationFailed(Problem):
    code, status, title = "expectation_failed", 417, "The expectation cannot be met"
    hint = "Leave the header `Expect` out, or send `100-continue`."


class ForeignHost(Problem):
    code, status, title = "foreign_host", 421, "This is not a name of this server"
    hint = "Use localhost, or put the name into the setting `allowed_hosts`."


class ForeignOrigin(Forbidden):
    code, title = "foreign_origin", "Another web page may not ask this"
    hint = "Put the page's origin into the setting `cors_origins` if it is trusted."


class MissingScope(Forbidden):
    """Raised with `scope`."""

    code, title = "missing_scope", "The token does not allow this"


class UpgradeRequired(Problem):
    code, status, title = "upgrade_required", 426, "This address speaks WebSocket only"
    hint = "Connect with a WebSocket client, or follow the same stream as server-sent events."
