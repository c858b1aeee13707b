"""What a message of an MCP client is, and how it travels over HTTP. Decides only; does no I/O.

Two generations of the protocol are told apart by the message itself: since 2026-07-28 every request carries its version in
`_meta` and stands alone; before, a session was opened by `initialize`. HTTP wants some of a new message repeated in headers.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

VERSION = "io.modelcontextprotocol/protocolVersion"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
LINE_LIMIT = 16 << 20  # bytes of one message, either way

PARSE_ERROR, INVALID_REQUEST, CONNECTION = -32700, -32600, -32000

_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")

# Asked twice, they do no more than asked once.
_REPEATABLE = frozenset(
    {
        *("initialize", "ping", "server/discover", "subscriptions/listen", "completion/complete"),
        *("tools/list", "prompts/list", "prompts/get", "logging/setLevel"),
        *("resources/list", "resources/read", "resources/templates/list"),
        *("resources/subscribe", "resources/unsubscribe"),
    }
)


class Kind(Enum):
    REQUEST = "request"
    NOTIFICATION = "notification"
    RESPONSE = "response"
    NONSENSE = "nonsense"


def kind_of(message: object) -> Kind:
    """What this is; lists (batches) and objects of another shape are nonsense."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return Kind.NONSENSE
    if isinstance(message.get("method"), str):
        if "id" not in message:
            return Kind.NOTIFICATION
        return Kind.REQUEST if is_id(message["id"]) else Kind.NONSENSE
    if is_id(message.get("id")) or ("id" in message and "error" in message):
        return Kind.RESPONSE if ("result" in message) != ("error" in message) else Kind.NONSENSE
    return Kind.NONSENSE


def is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def params_of(message: Mapping[str, Any]) -> dict[str, Any]:
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def own_version(message: Mapping[str, Any]) -> str | None:
    """The protocol version that a message carries itself; None for one that belongs to a session."""
    meta = params_of(message).get("_meta")
    version = meta.get(VERSION) if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def header_value(text: str) -> str:
    """As a header can carry it: plain, or as base64 between marks."""
    if (not text or _PLAIN.fullmatch(text)) and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'surrogatepass')).decode()}?="


def headers_of(message: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a message that stands alone; none for one of a session."""
    version = own_version(message)
    if version is None:
        return {}
    method = message["method"]
    headers = {"MCP-Protocol-Version": header_value(version), "Mcp-Method": header_value(method)}
    named = params_of(message).get(_NAMED.get(method, ""))
    if isinstance(named, str):
        headers["Mcp-Name"] = header_value(named)
    return headers


def repeatable(message: Mapping[str, Any], harmless: Callable[[str], bool]) -> bool:
    """Whether it may be asked again when nobody knows if it was done; `harmless` judges tools by their name."""
    if message["method"] == "tools/call":
        return harmless(str(params_of(message).get("name")))
    return message["method"] in _REPEATABLE


def harmless_tools(listed: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The tools of an answer to `tools/list`, and whether each only reads or may be repeated by its own word."""
    tools = listed.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            hints = tool.get("annotations")
            hints = hints if isinstance(hints, dict) else {}
            yield tool["name"], bool(hints.get("readOnlyHint") or hints.get("idempotentHint"))


def missed(acknowledged: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What may have changed before a subscription was taken up again: all of what it is for."""
    params = params_of(acknowledged)
    wanted = params.get("notifications")
    wanted = wanted if isinstance(wanted, dict) else {}
    meta = {"_meta": params["_meta"]} if "_meta" in params else {}
    lists = [name for name in ("tools", "prompts", "resources") if wanted.get(f"{name}ListChanged")]
    places = wanted.get("resourceSubscriptions")
    told = [(f"notifications/{name}/list_changed", meta) for name in lists]
    told += [
        ("notifications/resources/updated", {"uri": uri, **meta})
        for uri in (places if isinstance(places, list) else [])
    ]
    return [{"jsonrpc": "2.0", "method": method, "params": dict(given)} for method, given in told]


def failure(
    request_id: str | int | None, code: int, message: str, data: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """An error as an answer."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data:
        error["data"] = dict(data)
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


class Sse(NamedTuple):
    """One server-sent event."""

    data: bytes
    id: str | None


class TooLong(ValueError):
    """A line of the stream is longer than any message may be."""


def events(readline: Callable[[int], bytes]) -> Iterator[Sse]:
    """The events of a stream that is read line by line; one that is cut off is not given."""
    data: list[bytes] = []
    size = 0
    last: str | None = None
    while line := readline(LINE_LIMIT + 1):
        size += len(line)
        if size > LINE_LIMIT:
            raise TooLong(f"an event has more than {LINE_LIMIT} bytes")
        if not line.endswith(b"\n"):
            return
        line = line.rstrip(b"\r\n")
        if not line:
            if any(data):
                yield Sse(b"\n".join(data), last)
            data, size = [], 0
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"id" and b"\0" not in value:
            last = value.decode("utf-8", "replace")
