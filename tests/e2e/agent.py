"""An agent with the official MCP client that writes down what it asks and hears: a line for the call, one or two for the answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

Json = dict[str, Any]
Say = Callable[[str], None]
WIDTH = 230
_TIRESOME = frozenset(
    {
        "created_at",
        "updated_at",
        "started_at",
        "ended_at",
        "request_id",
        "actor",
        "input",
        "project_id",
        "run_id",
    }
)


def brief(value: object, width: int = WIDTH) -> str:
    """A value in at most `width` letters: without times and what is empty."""
    text = json.dumps(_without(value), ensure_ascii=False)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _without(value: object) -> object:
    if isinstance(value, dict):
        return {
            name: _without(one)
            for name, one in value.items()
            if name not in _TIRESOME and one not in (None, [], {}, "")
        }
    if isinstance(value, list):
        return [_without(one) for one in value if one is not None]
    if isinstance(value, str) and len(value) > 70:
        return f"{value[:69]}…"
    return value


SHOWN = {
    "code.write": "path created etag",
    "code.read": "path size etag",
    "runtime.environment.get": "state python_version nat_version source",
    "runtime.status": "state healthy pid port artefact_id restarts",
    "test.results": "status message counts failures.id failures.message",
    "git.status": "branch clean staged.path unstaged.path untracked ahead behind",
    "git.init": "branch clean untracked",
    "git.add": "branch staged.path",
    "git.commit": "branch commit.id commit.subject",
    "git.diff": "files.path insertions deletions",
    "git.log": "commits.subject",
    "git.pr.create": "number title state head base mergeable",
    "git.pr.get": "number state head base mergeable head_sha",
    "git.actions": "state checks.id checks.status checks.command",
    "git.actions.logs": "status conclusion text",
    "deploy.history": "deploys.kind deploys.state deploys.reason",
    "debug.errors": "errors.logger errors.type errors.message",
    "event.list_project": "events.event_type",
}
"""What is told of the longer answers: fields, and fields of what is below."""


def told(operation: str, answer: Json) -> str:
    """What an answer says; of a run how it stands, its steps, and its result or its problem."""
    if "steps" in answer and "state" in answer:
        steps = " → ".join(f"{step['name']} {step['state']}" for step in answer["steps"])
        end = answer.get("problem") or answer.get("result")
        if answer.get("problem"):
            end = {name: end[name] for name in ("code", "detail") if name in end}
        return f"{answer['state']}{f' ({steps})' if steps else ''} {brief(end) if end else ''}".rstrip()
    if operation in SHOWN:
        return brief({name: _picked(answer, name.split(".")) for name in SHOWN[operation].split()})
    return brief(answer)


def _picked(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [_picked(one, names) for one in value]
    if not names or value is None:
        return value
    return _picked(value.get(names[0]), names[1:])


@dataclass
class Agent:
    """`say` hears the transcript. `progress` is everything that was told while calls lasted."""

    client: Client
    say: Say
    calls: int = 0
    progress: list[tuple[float, float | None, str | None]] = field(default_factory=list)

    async def ask(self, operation: str, **given: Any) -> Json:
        """The answer of a tool that is to succeed."""
        failed, answer = await self._call(operation, given)
        assert not failed, f"{operation}: {answer}"
        return answer

    async def refused(self, operation: str, code: str, **given: Any) -> Json:
        """The problem of a tool that is to be refused."""
        failed, answer = await self._call(operation, given)
        assert failed and answer["code"] == code, f"{operation}: {answer}"
        return answer

    async def run(self, operation: str, **given: Any) -> Json:
        """Begin long work, and how it is when it has ended."""
        answer = await self.ask(operation, **given, wait=60)
        while answer["state"] in ("queued", "running"):
            answer = await self.ask(
                "workflow.status", project_id=given["project_id"], run_id=answer["run_id"], wait=60
            )
        return answer

    async def read(self, uri: str) -> str:
        """A resource."""
        found = await self.client.read_resource(uri)
        text = str(getattr(found.contents[0], "text", ""))
        shown = brief(json.loads(text)) if text.startswith("{") else brief(text)
        self.say(f"  read {uri}\n    ← {shown}")
        return text

    async def prompt(self, name: str, **given: str) -> str:
        found = await self.client.get_prompt(name, given)
        text = str(getattr(found.messages[0].content, "text", ""))
        self.say(
            f"  prompt {name} {brief(given)}\n    ← {text.splitlines()[0]} … ({len(text.splitlines())} lines)"
        )
        return text

    async def _call(self, operation: str, given: Json) -> tuple[bool, Json]:
        heard: list[tuple[float, float | None, str | None]] = []

        async def hear(done: float, total: float | None, message: str | None) -> None:
            heard.append((done, total, message))

        name = f"att_{operation.replace('.', '_')}"
        found = await self.client.call_tool(name, given, progress_callback=hear)
        answer: Json = found.structured_content or {}
        self.calls += 1
        self.progress += heard
        shown = {key: value for key, value in given.items() if key != "project_id"}
        lines = [f"  {operation} {brief(shown, 150) if shown else ''}".rstrip()]
        if heard:
            words = [message for _, _, message in heard if message]
            lines.append(f"    … {len(heard)} progress notifications: {brief(words[:1] + words[-2:], 200)}")
        if found.is_error:
            lines.append(f"    ✗ {answer['status']} {answer['code']}: {answer['detail']}")
        else:
            lines.append(f"    ← {told(operation, answer)}")
        self.say("\n".join(lines))
        return bool(found.is_error), answer


@asynccontextmanager
async def agent(url: str, token: str, say: Say) -> AsyncIterator[Agent]:
    """Of the present generation of the protocol."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=120) as web,
        Client(streamable_http_client(f"{url}/mcp", http_client=web), mode="2026-07-28") as client,
    ):
        yield Agent(client, say)
