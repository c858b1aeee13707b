"""Whatever goes wrong has one shape, says what to do, and is never a 5xx when it is the caller's mistake."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from att.http import asking, routes
from tests.att.http.house import READER, TOKEN, Answer, Served
from tests.support import eventually_sync

JSON = {"Content-Type": "application/json"}


def refused(answer: Answer, status: int, code: str) -> Any:
    problem = answer.problem
    assert (answer.status, problem["code"]) == (status, code), problem
    return problem


def fields(problem: Any) -> set[tuple[str, str]]:
    return {(fault["in"], fault["field"]) for fault in problem["fields"]}


def test_an_address_that_is_not_there(shared: Served) -> None:
    refused(shared.ask("GET", "/nothing"), 404, "route_not_found")
    refused(shared.ask("GET", "//../../etc/passwd"), 404, "route_not_found")
    refused(shared.ask("GET", "/things/"), 404, "route_not_found")


def test_a_method_that_is_not_there_names_those_that_are(shared: Served) -> None:
    answer = shared.ask("PUT", "/things")
    problem = refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert problem["allowed"] == ["GET", "HEAD", "OPTIONS", "POST"]
    refused(shared.ask("TRACE", "/things"), 405, "method_not_allowed")


def test_an_id_that_is_not_there(shared: Served) -> None:
    problem = refused(shared.ask("GET", "/things/none"), 404, "thing_not_found")
    assert problem["instance"] == "/api/v1/things/none"


def test_a_body_that_is_too_large(shared: Served) -> None:
    problem = refused(shared.ask("POST", "/things", b"x" * 2001, headers=JSON), 413, "body_too_large")
    assert problem["limit"] == 2000


def test_a_large_body_may_have_large_texts_but_not_very_many_values(house: Served) -> None:
    large = {"name": "large", "extra": {"note": '\\ and " and [], [], ü\n' * 50_000}}
    answer = house.ask("POST", "/things", large)
    assert answer.status == 201, answer.body
    for values in (b"[]," * 120_000, b"0," * 140_000, b'"",' * 120_000, b'"\\"",' * 120_000):
        body = b'{"name": "many", "tags": [' + values + b'""]}'
        problem = refused(house.ask("POST", "/things", body, headers=JSON), 413, "body_too_large")
        assert "beside its texts" in problem["detail"]


def test_a_large_body_is_read_and_a_large_answer_written_beside_the_loop(
    house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def noted(function: Any) -> Any:
        def run(*args: Any) -> Any:
            seen.append(threading.current_thread().name)
            return function(*args)

        return run

    monkeypatch.setattr(asking, "from_json", lambda raw, **more: noted(from_json)(raw))
    monkeypatch.setattr(routes, "model_response", noted(routes.model_response))
    note = "x" * 100_000
    for name, extra in (("small", {}), ("large", {"note": note})):
        assert house.ask("POST", "/things", {"name": name, "extra": extra}).status == 201
    assert [name.startswith("att-bulk") for name in seen] == [False, False, True, True]


def test_a_large_answer_comes_whole_also_to_head(house: Served) -> None:
    house.ask("POST", "/things", {"name": "large", "extra": {"note": "x" * 600_000}})
    answer = house.ask("GET", "/things/large")
    assert answer.json["extra"]["note"] == "x" * 600_000 and answer.headers["Content-Length"] == str(
        len(answer.body)
    )
    assert house.ask("HEAD", "/things/large").headers["Content-Length"] == str(len(answer.body))


def test_a_body_in_pieces_that_grows_too_large(shared: Served) -> None:
    head = (
        f"POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    piece = b"400\r\n" + b" " * 0x400 + b"\r\n"
    told = shared.raw(head.encode() + piece * 3 + b"0\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in told


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""]
)
def test_a_body_of_another_type(shared: Served, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    refused(shared.ask("POST", "/things", b'{"name": "x"}', headers=headers), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "x", "size": NaN}',
        b'{"name": "x", "price": Infinity}',
        b"[" * 900 + b"]" * 900,
        b'{"name": "x", "size": ' + b"9" * 1500 + b"",
        b'{"name": "x\x00"}',
    ],
)
def test_json_that_is_none(shared: Served, body: bytes) -> None:
    refused(shared.ask("POST", "/things", body, headers=JSON), 400, "malformed_json")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ([], {""}),
        (None, {"name"}),
        ({"name": "x", "colour": "green"}, {"colour"}),
        ({"name": "x", "size": "5"}, {"size"}),
        ({"name": "x", "size": 10**18 * 10}, {"size"}),
        ({"name": "x", "size": 10**400}, {"size"}),
        ({"name": "x", "extra": {"deep": [1, 10**30]}}, {"extra.deep.1"}),
        ({"name": "x", "loud": 1}, {"loud"}),
        ({"name": "x", "tags": "a"}, {"tags"}),
        ({"name": "x", "parts": [{"name": "p"}, {"nome": "p"}]}, {"parts.1.name", "parts.1.nome"}),
        ({"name": "x", "dry_run": True}, {"dry_run"}),
        ({"name": "x", "wrong": 1, "size": -1}, {"wrong", "size"}),
        ({"name": "a/b"}, {"name"}),
        ({"name": "x", "loud": True, "size": 0}, {""}),
    ],
)
def test_a_body_that_does_not_fit(shared: Served, body: Any, names: set[str]) -> None:
    sent = None if body is None else json.dumps(body).encode()
    problem = refused(shared.ask("POST", "/things", sent, headers=JSON), 422, "invalid_request")
    assert fields(problem) == {("body", name) for name in names}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/things"), ("DELETE", "/things/lamp"), ("GET", "/things")]
)
def test_of_very_many_faults_only_some_are_told(shared: Served, method: str, path: str) -> None:
    body = b'{"name":1,' + b",".join(b'"%d":1' % number for number in range(200)) + b"}"
    problem = refused(shared.ask(method, path, body, headers=JSON), 422, "invalid_request")
    assert len(problem["fields"]) == 100


def test_a_whole_number_may_be_written_with_a_point(shared: Served) -> None:
    answer = shared.ask("POST", "/things?dry_run=1", b'{"name": "x", "size": 85.0}', headers=JSON)
    assert (answer.status, answer.json["size"]) == (201, 85)
    answer = shared.ask("POST", "/things?dry_run=1", b'{"name": "x", "size": 1001.0}', headers=JSON)
    assert fields(answer.problem) == {("body", "size")}


def test_a_number_that_json_has_and_we_do_not(shared: Served) -> None:
    body = b'{"name": "x", "price": 1e999}'
    problem = refused(shared.ask("POST", "/things", body, headers=JSON), 422, "invalid_request")
    assert fields(problem) == {("body", "price")}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("limit=x", {"limit"}),
        ("limit=0", {"limit"}),
        ("limit=", {"limit"}),
        ("limit=1&limit=2", {"limit"}),
        (f"limit={'9' * 5000}", {"limit"}),
        ("heavier=nan", {"heavier"}),
        ("heavier=inf", {"heavier"}),
        ("heavier=1e999", {"heavier"}),
        ("colour=green", {"colour"}),
        ("since=0.5", {"since"}),
        ("since=1234567890", {"since"}),
        ("since=2026-11-21T10:00:00", {"since"}),
        ("since=yesterday", {"since"}),
        ("wrong=1", {"wrong"}),
        ("wrong=1&limit=x", {"wrong", "limit"}),
        ("tag=%00", {"tag"}),
        ("tag=%FF", {"tag"}),
        ("tag=%ED%A0%80", {"tag"}),
        ("token=" + TOKEN, {"token"}),
    ],
)
def test_a_query_that_does_not_fit(shared: Served, query: str, names: set[str]) -> None:
    problem = refused(shared.ask("GET", f"/things?{query}"), 422, "invalid_request")
    assert fields(problem) == {("query", name) for name in names}


def test_a_time_in_the_query(shared: Served) -> None:
    for text in ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00.123456%2B01:00", "2026-11-21%2010:00Z"):
        assert shared.ask("GET", f"/things?since={text}").status == 200, text


def test_a_query_that_means_the_replacement_character(shared: Served) -> None:
    assert shared.ask("GET", "/things?tag=%EF%BF%BD").json["things"] == []


def test_a_path_that_does_not_fit(shared: Served) -> None:
    assert fields(refused(shared.ask("GET", "/things/%00"), 422, "invalid_request")) == {("path", "thing_id")}
    assert fields(refused(shared.ask("GET", f"/things/{'x' * 41}"), 422, "invalid_request")) == {
        ("path", "thing_id")
    }
    refused(shared.ask("GET", "/things/%FF"), 404, "thing_not_found")
    refused(shared.ask("GET", "/things/a%2Fb"), 404, "thing_not_found")
    refused(shared.ask("GET", "/things/lamp?thing_id=lamp"), 422, "invalid_request")


def test_a_body_where_none_is_taken_is_not_passed_over(shared: Served) -> None:
    """Else a filter that was put into the wrong place would make a deletion wider than it was meant."""
    problem = refused(shared.ask("DELETE", "/things/lamp", {"before": "x"}), 422, "invalid_request")
    assert fields(problem) == {("body", "before")}
    assert shared.ask("GET", "/things/lamp").status == 200


def test_an_empty_object_where_no_body_is_taken(shared: Served) -> None:
    refused(shared.ask("DELETE", "/things/none", {}), 404, "thing_not_found")


@pytest.mark.parametrize(
    "given", [None, "Bearer wrong", "Bearer", "Basic " + TOKEN, TOKEN, "Bearer " + TOKEN + "x", "Bearer \xe9"]
)
def test_no_token_or_a_wrong_one(shared: Served, given: str | None) -> None:
    answer = shared.ask(
        "GET", "/things", token=None, headers={"Authorization": given} if given is not None else {}
    )
    refused(answer, 401, "unauthorized")
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge == 'Bearer realm="att"' + (', error="invalid_token"' if given is not None else "")


def test_a_token_in_the_query_opens_nothing(shared: Served) -> None:
    for name in ("token", "access_token", "api_key"):
        refused(shared.ask("GET", f"/things?{name}={TOKEN}", token=None), 401, "unauthorized")


def test_a_token_without_the_scope(shared: Served) -> None:
    assert shared.ask("GET", "/things", token=READER).status == 200
    problem = refused(shared.ask("POST", "/things", {"name": "x"}, token=READER), 403, "missing_scope")
    assert problem["scope"] == "write"
    assert (
        refused(shared.ask("DELETE", "/things/lamp", token=READER), 403, "missing_scope")["scope"]
        == "destructive"
    )


def test_a_state_that_does_not_allow_it(shared: Served) -> None:
    refused(shared.ask("POST", "/things", {"name": "lamp"}), 409, "thing_exists")


def test_an_error_that_nobody_foresaw_tells_nothing_of_the_inside(shared: Served) -> None:
    answer = shared.ask("POST", "/things/lamp/crash", headers={"X-Request-Id": "mine-1"})
    problem = refused(answer, 500, "internal_error")
    assert problem["request_id"] == "mine-1"
    assert b"inside" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert b".py" not in answer.body


def test_what_is_logged_of_it_has_the_trace_and_not_the_token(
    shared: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    shared.ask("POST", "/things/lamp/crash", headers={"X-Request-Id": "mine-2"})
    told = capsys.readouterr().out
    assert "mine-2" in told
    assert "the inside of the house" in told
    assert TOKEN not in told


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/v1/things/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request(shared: Served, sent: bytes) -> None:
    head, _, body = shared.raw(sent).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400", head
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["code"] == "bad_request"
    assert f"X-Request-Id: {problem['request_id']}".encode() in head


def test_an_encoding_of_the_body_that_is_broken(shared: Served) -> None:
    refused(
        shared.ask("POST", "/things", b"no gzip", headers={**JSON, "Content-Encoding": "gzip"}),
        400,
        "bad_request",
    )


def test_an_expectation_that_nobody_can_meet(shared: Served) -> None:
    refused(shared.ask("GET", "/things", headers={"Expect": "200-ok"}), 417, "expectation_failed")


def test_a_client_that_waits_for_the_word_to_go_on(shared: Served) -> None:
    head = (
        f"GET /api/v1/things HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    told = shared.raw(head.encode())
    assert told.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_client_that_leaves_before_the_answer_does_not_undo_what_it_asked(house: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.port)
    connection.request("POST", "/api/v1/things/lamp/hold", headers={"Authorization": f"Bearer {TOKEN}"})
    eventually_sync(lambda: house.things.holding == 1)
    connection.close()
    house.call(house.things.hold.set)
    eventually_sync(lambda: house.things.finished == 1)
    assert house.ask("GET", "/things/lamp").status == 200


names = st.text(st.characters(codec="utf-8"), max_size=20)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
known = st.sampled_from(["name", "size", "price", "colour", "tags", "parts", "extra", "loud", "folder", "x"])


@settings(max_examples=150, deadline=None)
@given(body=st.dictionaries(known, anything, max_size=6) | anything)
def test_no_body_is_answered_with_a_5xx(shared: Served, body: Any) -> None:
    answer = shared.ask("POST", "/things", json.dumps(body).encode(), headers=JSON)
    assert answer.status in (201, 400, 409, 413, 422), answer.body
    if answer.status != 201:
        assert answer.problem["code"]


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=60))
def test_no_bytes_are_answered_with_a_5xx(shared: Served, raw: bytes) -> None:
    answer = shared.ask("POST", "/things", raw, headers=JSON)
    assert 400 <= answer.status < 500, answer.body
    assert answer.problem["code"]


@settings(max_examples=150, deadline=None)
@given(query=st.binary(max_size=40), path=st.binary(min_size=1, max_size=20))
def test_no_address_is_answered_with_a_5xx(shared: Served, query: bytes, path: bytes) -> None:
    def percent(data: bytes) -> str:
        return "".join(f"%{byte:02X}" for byte in data)

    for target in (
        f"/things/{percent(path)}?{percent(query)}",
        f"/things?tag={percent(query)}&limit={percent(path)}",
    ):
        answer = shared.ask("GET", target)
        assert answer.status < 500, (target, answer.body)
        if answer.status != 200:
            assert answer.problem["code"]


def test_the_answer_comes_at_once_after_a_body_was_refused(shared: Served) -> None:
    """The rest of a body that is not wanted is not waited for by the next request."""
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=10)
    headers = {"Authorization": f"Bearer {TOKEN}", **JSON}
    began = time.monotonic()
    connection.request("POST", "/api/v1/things", b"x" * 5000, headers)
    assert connection.getresponse().read()
    connection.request("GET", "/api/v1/things", headers=headers)
    assert connection.getresponse().status == 200
    assert time.monotonic() - began < 5
    connection.close()
