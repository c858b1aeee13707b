"""What a message is and how it travels: for anything that JSON can hold, and in agreement with the official SDK."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request, decode_header_value

from att.mcp import rpc
from att.mcp.rpc import Kind, events, harmless_tools, header_value, headers_of, kind_of, missed, repeatable

text = st.text(st.characters(exclude_categories=["Cs"]))
value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
parts = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | value,
        "id": value,
        "method": st.sampled_from(["ping", "tools/call", "tools/list"]) | value,
        "params": value,
        "result": value,
        "error": value,
    },
)


@given(parts | value)
def test_anything_is_of_one_kind_and_what_is_sent_on_has_the_shape_of_it(message: Any) -> None:
    kind = kind_of(message)
    if kind is Kind.NONSENSE:
        return
    assert message["jsonrpc"] == "2.0"
    assert (kind is Kind.RESPONSE) == ("method" not in message or not isinstance(message["method"], str))
    if kind is Kind.REQUEST:
        assert rpc.is_id(message["id"])
        headers_of(message), repeatable(message, bool)


@given(text)
def test_a_header_gives_back_any_text(said: str) -> None:
    made = header_value(said)
    assert made.isascii() and made.isprintable() and made == made.strip()
    assert decode_header_value(made) == said


@given(
    st.sampled_from(["tools/call", "prompts/get", "resources/read", "tools/list", "server/discover"]),
    text,
    st.dictionaries(text, value, max_size=3),
)
def test_a_message_that_stands_alone_has_the_headers_that_the_sdk_wants(
    method: str, name: str, more: dict[str, Any]
) -> None:
    meta = {rpc.VERSION: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": {**more, "name": name, "uri": name, "_meta": meta},
    }
    headers = {key.lower(): told for key, told in headers_of(message).items()}
    judged = classify_inbound_request(message, headers=headers)
    assert not isinstance(judged, InboundLadderRejection), judged


@given(st.lists(st.tuples(st.text(min_size=1), st.sampled_from(["\n", "\r\n"]), st.booleans()), max_size=6))
def test_every_event_of_a_stream_is_read_whatever_stands_around_it(told: list[tuple[str, str, bool]]) -> None:
    stream = b""
    for number, (said, end, remark) in enumerate(told):
        lines = [f"id: {number}", "event: message", f"data: {json.dumps(said)}", ""]
        stream += "".join(line + end for line in ([": ping", "", *lines] if remark else lines)).encode()
    found = list(events(io.BytesIO(stream).readline))
    assert [(json.loads(event.data), event.id) for event in found] == [
        (said, str(number)) for number, (said, _, _) in enumerate(told)
    ]
    cut = list(events(io.BytesIO(stream[:-1]).readline))
    assert cut == found[:-1], "an event that was cut off is not given"


def test_data_of_several_lines_is_one_event() -> None:
    (event,) = events(io.BytesIO(b"data: a\ndata:b\nretry: 5\nwhat\n\ndata:\nid: 7\n\n").readline)
    assert event == rpc.Sse(b"a\nb", None)


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "LINE_LIMIT", 100)
    for stream in (b"data: " + b"x" * 200, b"data: x\n" * 50):
        with pytest.raises(rpc.TooLong):
            list(events(io.BytesIO(stream).readline))


@given(value)
def test_the_tools_of_any_answer_are_judged(told: Any) -> None:
    listed = {"tools": told} if not isinstance(told, dict) else told
    assert all(isinstance(name, str) for name, _ in harmless_tools(listed))


def test_only_tools_that_say_so_are_harmless() -> None:
    tools = [
        {"name": "reads", "annotations": {"readOnlyHint": True}},
        {"name": "again", "annotations": {"idempotentHint": True, "destructiveHint": True}},
        {"name": "writes", "annotations": {"readOnlyHint": False}},
        {"name": "silent"},
    ]
    known = dict(harmless_tools({"tools": tools}))
    assert known == {"reads": True, "again": True, "writes": False, "silent": False}
    calls = {name: {"method": "tools/call", "params": {"name": name}} for name in (*known, "unknown")}
    again = [name for name, call in calls.items() if repeatable(call, lambda name: known.get(name, False))]
    assert again == ["reads", "again"]


@given(value)
def test_what_was_missed_is_told_of_any_subscription(wanted: Any) -> None:
    for message in missed(
        {"method": rpc.ACKNOWLEDGED, "params": {"notifications": wanted, "_meta": {"a": 1}}}
    ):
        assert kind_of(message) is Kind.NOTIFICATION and message["params"]["_meta"] == {"a": 1}
