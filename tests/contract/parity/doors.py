"""The three doors of a real daemon: an operation is asked by HTTP, by a tool of MCP, or by a command; the answers as JSON."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import Any

from att.catalogue import Effect, Operation
from att.cli.commands import request_of, verb
from att.fields import wire_name
from tests.daemon import Answer, RunningDaemon


def by_http(daemon: RunningDaemon, operation: Operation, given: dict[str, Any]) -> Answer:
    target, body = request_of(operation, _as_sent(operation, given))
    return daemon.ask(operation.method, target.removeprefix("/api/v1"), body, Accept="application/json")


def _as_sent(operation: Operation, given: dict[str, Any]) -> dict[str, Any]:
    fields = operation.input.model_fields
    return {wire_name(name, fields[name]) if name in fields else name: value for name, value in given.items()}


def words_of(operation: Operation, given: dict[str, Any]) -> list[str]:
    words = [operation.room] if operation.name == operation.room else [operation.room, verb(operation.name)]
    words += [str(given[name]) for name in operation.positional if name in given]
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if name in operation.positional:
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            words += [flag, json.dumps(value)]
        else:
            words += [
                word for each in (value if isinstance(value, list) else [value]) for word in (flag, str(each))
            ]
    return [*words, *(["--yes"] if operation.effect is Effect.DESTRUCTIVE else []), "--json"]


def by_mcp(daemon: RunningDaemon, operation: Operation, given: dict[str, Any]) -> tuple[bool, Any]:
    """Whether it went well, and the structured content: one request of the newest protocol, which needs no session."""
    tool = f"att_{operation.name.replace('.', '_')}"
    about = {
        "protocolVersion": "2026-07-28",
        "clientCapabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    meta = {f"io.modelcontextprotocol/{key}": value for key, value in about.items()}
    params = {"name": tool, "arguments": _as_sent(operation, given), "_meta": meta}
    heads = {
        "Authorization": f"Bearer {daemon.token}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)) as connection:
        connection.request("POST", "/mcp", body, heads)
        got = connection.getresponse()
        text = got.read().decode()
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    told = json.loads(lines[-1] if lines else text)
    assert "result" in told, told
    return not told["result"]["isError"], told["result"]["structuredContent"]
