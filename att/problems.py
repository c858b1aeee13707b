"""What can go wrong, as typed errors: one short tree, one shape at every door.

A `Problem` is raised where the mistake is seen, logged once at the edge, and told in the words of RFC 9457
(`application/problem+json`) by HTTP, as a tool error by MCP, and as two lines on a terminal. The class carries what is the
same every time (stable `code`, HTTP `status`, `title`, `hint`); the instance carries the sentence (`detail`) and, in `extra`,
members for programs (for example `fields` or `pid`). This file decides nothing else and does no I/O.
"""

from __future__ import annotations

from typing import Any, ClassVar


class Problem(Exception):
    """A known mistake. `detail` is one sentence for a person; `hint` says what to do about it."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    hint: ClassVar[str] = "This is a fault in ATT itself: look for the request id in the daemon's log."

    def __init__(self, detail: str, *, hint: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.advice = hint or type(self).hint
        self.extra = extra

    def document(self, *, instance: str = "", request_id: str = "") -> dict[str, Any]:
        """The problem details object of RFC 9457, with our `code`, `hint` and `request_id`."""
        return {
            "type": f"urn:att:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "hint": self.advice,
            "request_id": request_id,
            **self.extra,
        }


class InvalidRequest(Problem):
    """Raised with `fields=[{"field": "limit", "message": "…"}]`."""

    code, status, title = "invalid_request", 422, "The request is not valid"
    hint = "Mend the fields that are named and send it again."


class NotFound(Problem):
    code, status, title = "not_found", 404, "There is no such thing"
    hint = "Check the id; a list tells which there are."


class ProjectNotFound(NotFound):
    code, title = "project_not_found", "There is no such project"
    hint = "`att project list` tells which there are."


class BadCursor(InvalidRequest):
    code, title = "bad_cursor", "The cursor is not valid"
    hint = "Use a cursor from an earlier answer as it is, or none to begin anew."


class Conflict(Problem):
    code, status, title = "conflict", 409, "The present state does not allow this"
    hint = "Look at the present state first."


class Unauthorized(Problem):
    code, status, title = "unauthorized", 401, "A token is needed"
    hint = "Send `Authorization: Bearer TOKEN`; the token stands in the file `token` of ATT_HOME."


class Forbidden(Problem):
    code, status, title = "forbidden", 403, "This is not allowed"
    hint = "Use a token with the scope that is named."


class Unavailable(Problem):
    code, status, title = "unavailable", 503, "Not available at the moment"
    hint = "Try again shortly; `att status` and `att doctor` tell what is missing."
