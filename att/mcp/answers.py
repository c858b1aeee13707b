"""The answers of tools: what stands in them, and how large they may be. Does no I/O.

A result travels twice: as structured content for programs, and as text for models. Clients refuse a message above one megabyte,
so a result has at most `LARGEST` bytes, and the text of a large one is only its beginning. A problem is told as it is over
HTTP, and in a few lines of text.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from att.http.answering import plain, problem_bytes
from att.problems import Problem

Json = dict[str, Any]
LARGEST = 256 * 1024  # bytes of the JSON of a result
AS_TEXT = 32 * 1024  # up to here the text is the whole result
BEGINNING = 4 * 1024
_COMPLETE = {"resultType": "complete"}


def encoded(result: BaseModel | None) -> bytes:
    """The JSON of a result, as the HTTP door writes it."""
    return b'{"done":true}' if result is None else result.__pydantic_serializer__.to_json(result)


def success(body: bytes) -> Json:
    """The answer that holds this JSON object."""
    return {
        "content": [_text(_shown(body))],
        "structuredContent": from_json(body),
        "isError": False,
        **_COMPLETE,
    }


def failure(problem: Problem, *, instance: str, request_id: str) -> Json:
    """The tool error that tells of the problem."""
    told: Json = json.loads(problem_bytes(problem, instance=instance, request_id=request_id))
    lines = [f"{told['title']} ({told['code']}, {told['status']}): {told['detail']}", f"Hint: {told['hint']}"]
    lines += [
        f"- {each.get('field')}: {each.get('message')}"
        for each in told.get("fields", ())
        if isinstance(each, dict)
    ]
    return {
        "content": [_text(plain("\n".join(lines)))],
        "structuredContent": told,
        "isError": True,
        **_COMPLETE,
    }


def _shown(body: bytes) -> str:
    if len(body) <= AS_TEXT:
        return body.decode()
    begin = body[:BEGINNING].decode("utf-8", "ignore")
    return (
        f"The result has {len(body)} bytes and stands whole in the structured content; ask for less (`limit`, "
        f"filters) to have it here. It begins:\n{begin}"
    )


def _text(text: str) -> Json:
    return {"type": "text", "text": text}
