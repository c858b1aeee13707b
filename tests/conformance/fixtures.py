"""What the official conformance suite asks for by name: tools, resources, prompts and answers of a test server.

None of it is in the daemon. The test server that offers it stands behind the daemon's own bridge and session settings.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer, RequestStateSecurity
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    Completion,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import Field

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SILENCE = base64.b64encode(
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
).decode()
PICTURE = ImageContent(type="image", data=PIXEL, mime_type="image/png")
PAUSE = 0.05  # seconds between two messages of one tool

Schema = dict[str, Any]


class Events(EventStore):
    """Remembers what was sent, so that a client that comes back gets the rest."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._sent.append((stream_id, message))
        return str(len(self._sent) - 1)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if not last_event_id.isdigit() or int(last_event_id) >= len(self._sent):
            return None
        last = int(last_event_id)
        wanted = self._sent[last][0]
        for number, (stream, message) in enumerate(self._sent[last + 1 :], last + 1):
            if stream == wanted and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return wanted


def text(said: str) -> TextContent:
    return TextContent(type="text", text=said)


def embedded(uri: str, media_type: str, body: str) -> EmbeddedResource:
    return EmbeddedResource(
        type="resource", resource=TextResourceContents(uri=uri, mime_type=media_type, text=body)
    )


def add_tool(server: MCPServer, name: str, work: Callable[..., Any]) -> None:
    server.add_tool(work, name=name, description=f"Fixture {name}.", structured_output=False)


# ---- tools that answer with content of each kind


def _contents(server: MCPServer) -> None:
    whole = embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    mixed = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    several = [text("Multiple content types test:"), PICTURE, mixed]
    add_tool(server, "test_simple_text", lambda: "This is a simple text response for testing.")
    add_tool(server, "test_image_content", lambda: [PICTURE])
    add_tool(
        server,
        "test_audio_content",
        lambda: [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")],
    )
    add_tool(server, "test_embedded_resource", lambda: [whole])
    add_tool(server, "test_multiple_content_types", lambda: several)
    add_tool(server, "json_schema_2020_12_tool", lambda: "ok")
    tool = server._tool_manager.get_tool("json_schema_2020_12_tool")
    assert tool is not None
    tool.parameters = ADDRESSED


ADDRESSED: Schema = {  # uses what only JSON Schema 2020-12 has
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


# ---- tools that speak with the client on the way


async def _logs(ctx: Context) -> str:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(line)
        await asyncio.sleep(PAUSE)
    return "logged"


async def _progresses(ctx: Context) -> str:
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
        await asyncio.sleep(PAUSE)
    return "done"


async def _fails() -> str:
    raise ToolError("This tool intentionally returns an error for testing")


async def _samples(prompt: str, ctx: Context) -> str:
    asked = [SamplingMessage(role="user", content=text(prompt))]
    told = await ctx.session.create_message(messages=asked, max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {getattr(told.content, 'text', told.content)}"


async def _elicit(ctx: Context, message: str, required: list[str], **properties: Schema) -> str:
    schema = {"type": "object", "properties": properties, "required": required}
    told = await ctx.session.elicit_form(
        message=message, requested_schema=schema, related_request_id=ctx.request_id
    )
    return f"Elicitation completed: action={told.action}, content={json.dumps(told.content)}"


async def _asks(message: str, ctx: Context) -> str:
    user = {"type": "string", "description": "User's response"}
    email = {"type": "string", "description": "User's email address"}
    return await _elicit(ctx, message, ["username", "email"], username=user, email=email)


async def _asks_with_defaults(ctx: Context) -> str:
    return await _elicit(
        ctx,
        "Defaults",
        [],
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )


async def _asks_with_choices(ctx: Context) -> str:
    titled = [{"const": f"value{number}", "title": f"Option {number}"} for number in (1, 2, 3)]
    plain = ["option1", "option2", "option3"]
    named = {"enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]}
    return await _elicit(
        ctx,
        "Enums",
        [],
        untitledSingle={"type": "string", "enum": plain},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={"type": "string", **named},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": plain}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )


async def _comes_back(ctx: Context) -> str:
    await ctx.close_sse_stream()
    await asyncio.sleep(2 * PAUSE)
    return "Reconnection test completed successfully"


async def _by_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    return region


async def _needs_sampling(ctx: Context) -> str:
    if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "needs sampling", needed)
    return "ok"


async def _tools_change(ctx: Context) -> str:
    await ctx.notify_tools_changed()
    return "announced"


async def _prompts_change(ctx: Context) -> str:
    await ctx.notify_prompts_changed()
    return "announced"


SPEAKING: dict[str, Callable[..., Any]] = {
    "test_tool_with_logging": _logs,
    "test_logging_tool": _logs,
    "test_tool_with_progress": _progresses,
    "test_streaming_elicitation": _progresses,
    "test_error_handling": _fails,
    "test_sampling": _samples,
    "test_elicitation": _asks,
    "test_elicitation_sep1034_defaults": _asks_with_defaults,
    "test_elicitation_sep1330_enums": _asks_with_choices,
    "test_reconnection": _comes_back,
    "test_x_mcp_header": _by_header,
    "test_missing_capability": _needs_sampling,
    "test_trigger_tool_change": _tools_change,
    "test_trigger_prompt_change": _prompts_change,
}


# ---- resources, prompts, completion


def _resources(server: MCPServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(PIXEL)

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        return "watched"

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _prompts(server: MCPServer) -> None:
    @server.prompt(description="Fixture.")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="Fixture.")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="Fixture.")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
        content = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(content), UserMessage("Please process the embedded resource above.")]

    @server.prompt(description="Fixture.")
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(PICTURE), UserMessage("Please analyze the image above.")]

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion:
        found = [word for word in ("paris", "park", "party") if word.startswith(argument.value)]
        return Completion(values=found, total=len(found), has_more=False)


async def _nothing(ctx: Any, params: Any) -> EmptyResult:
    return EmptyResult()


def make_server() -> MCPServer:
    """The test server with all of it."""
    from tests.conformance.rounds import add_rounds

    security = RequestStateSecurity(keys=[b"of the conformance fixtures only"])
    server = MCPServer("conformance", version="1.0.0", log_level="WARNING", request_state_security=security)
    _contents(server)
    for name, work in SPEAKING.items():
        add_tool(server, name, work)
    _resources(server)
    _prompts(server)
    add_rounds(server)
    low = server._lowlevel_server
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, _nothing)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, _nothing)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, _nothing)
    return server
