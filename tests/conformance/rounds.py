"""Fixtures of the conformance suite that ask the client back before they answer (multi-round requests, since 2026-07-28)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

Requests = dict[str, Any]
Finish = Callable[[Requests], str]


def _ask(key: str, message: str, **properties: str) -> Requests:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }
    return {key: ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))}


def _sample(key: str, prompt: str, tokens: int) -> Requests:
    said = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    return {key: CreateMessageRequest(params=CreateMessageRequestParams(messages=[said], max_tokens=tokens))}


def _roots() -> Requests:
    return {"client_roots": ListRootsRequest()}


def _needed(requests: Requests, state: str | None = None) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def _answers(ctx: Context, *keys: str) -> Requests | None:
    """What the client answered; None while one of these is missing."""
    told = ctx.input_responses or {}
    return told if all(key in told for key in keys) else None


def _once(requests: Requests, finish: Finish, state: str | None = None) -> Callable[..., Any]:
    """A tool that asks for these, and finishes with the answers, if its state came back with them."""

    async def work(ctx: Context) -> str | InputRequiredResult:
        told = _answers(ctx, *requests)
        if told is None or (state is not None and ctx.request_state != state):
            return _needed(requests, state)
        return finish(told)

    return work


def _greet(told: Requests) -> str:
    content = getattr(told["user_name"], "content", None) or {}
    return f"Hello, {content.get('name', '?')}!"


async def _twice(ctx: Context) -> str | InputRequiredResult:
    if ctx.request_state == "second" and _answers(ctx, "step2"):
        return "Multi-round finished"
    if ctx.request_state == "first" and _answers(ctx, "step1"):
        return _needed(_ask("step2", "Step 2: What is your favorite color?", color="string"), "second")
    return _needed(_ask("step1", "Step 1: What is your name?", name="string"), "first")


async def _what_the_client_can(ctx: Context) -> InputRequiredResult:
    can, requests = ctx.client_capabilities, {}
    if can and can.elicitation is not None:
        requests |= _ask("user_name", "What is your name?", name="string")
    if can and can.sampling is not None:
        requests |= _sample("greeting", "Generate a greeting", 50)
    if can and can.roots is not None:
        requests |= _roots()
    return _needed(requests, "capabilities")


def add_rounds(server: MCPServer) -> None:
    """Add them to the test server."""
    from tests.conformance.fixtures import add_tool

    name = _ask("user_name", "What is your name?", name="string")
    capital = _sample("capital_question", "What is the capital of France?", 100)
    confirm = _ask("confirm", "Please confirm", ok="boolean")
    several = {**name, **_sample("greeting", "Generate a greeting", 50), **_roots()}
    tools: dict[str, Callable[..., Any]] = {
        "elicitation": _once(name, _greet),
        "sampling": _once(capital, lambda told: f"Answer: {told['capital_question'].content}"),
        "list_roots": _once(_roots(), lambda told: f"Roots: {len(told['client_roots'].roots)}"),
        "request_state": _once(confirm, lambda _: "state-ok", "kept"),
        "tampered_state": _once(confirm, lambda _: "state-ok", "sealed"),
        "multiple_inputs": _once(several, _greet, "several"),
        "multi_round": _twice,
        "capabilities": _what_the_client_can,
    }
    for kind, work in tools.items():
        add_tool(server, f"test_input_required_result_{kind}", work)

    @server.prompt(description="Fixture.")
    async def test_input_required_result_prompt(ctx: Context) -> Any:
        if _answers(ctx, "user_context"):
            return "Use the context."
        return _needed(_ask("user_context", "What context should the prompt use?", context="string"))
