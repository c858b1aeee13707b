"""The mistakes that are seen at the MCP door itself."""

from __future__ import annotations

from att.problems import NotFound, Problem


class ResultTooLarge(Problem):
    """Raised with `bytes` and `limit`."""

    code, status, title = "result_too_large", 422, "The result is too large for one answer"
    hint = "Ask for less: a smaller `limit`, a narrower filter, or page by page with `cursor`."


class UnknownRoom(Problem):
    """Raised with `unknown` and `known`."""

    code, status, title = "unknown_room", 422, "There is no such room of tools"
    hint = (
        "Choose among the rooms in `known`, with commas between them, or leave `rooms` out to have all tools."
    )


class UnknownResource(NotFound):
    """Raised with `uri`."""

    code, title = "resource_not_found", "There is no such resource"
    hint = "`resources/list` and `resources/templates/list` tell which there are."
