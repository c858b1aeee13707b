"""The addresses that are the door's own, and what every answer has."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import http.client
import json
import os
import socket
import struct
from pathlib import Path

import pytest

from tests.att.http.house import READER, TOKEN, Served, served
from tests.support import eventually_sync


def test_the_id_of_a_request_is_repeated_when_it_can_be(shared: Served) -> None:
    assert (
        shared.ask("GET", "/health", headers={"X-Request-Id": "abc-1.2"}).headers["X-Request-Id"] == "abc-1.2"
    )
    for wrong in ("", "with blank", "x" * 129, "<script>"):
        found = shared.ask("GET", "/health", headers={"X-Request-Id": wrong}).headers["X-Request-Id"]
        assert found != wrong
        assert len(found) == 16


def test_every_answer_has_an_id_of_its_own(shared: Served) -> None:
    ids = {
        shared.ask("GET", path).headers["X-Request-Id"]
        for path in ("/health", "/nothing", "/things", "//metrics")
    }
    assert len(ids) == 4


def test_head_answers_as_get_without_the_body(shared: Served) -> None:
    got, head = shared.ask("GET", "/things/lamp"), shared.ask("HEAD", "/things/lamp")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.body))
    assert shared.ask("HEAD", "/things/none").status == 404
    assert shared.ask("HEAD", "/things/lamp", token=None).status == 401


def test_options_tells_the_methods_to_anybody(shared: Served) -> None:
    answer = shared.ask("OPTIONS", "/things/lamp", token=None)
    assert (answer.status, answer.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")
    assert shared.ask("OPTIONS", "/nothing", token=None).status == 404


def test_an_operation_without_an_answer_is_answered_with_204(house: Served) -> None:
    answer = house.ask("DELETE", "/things/lamp")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (204, b"", None)


def test_the_call_says_who_asks(house: Served) -> None:
    house.ask("POST", "/things", {"name": "x"}, headers={"X-Request-Id": "mine", "Last-Event-ID": "7"})
    call = house.things.seen[-1]
    assert (call.actor, call.request_id, call.door, call.last_event_id) == ("local", "mine", "http", "7")


def test_fields_of_a_post_that_are_marked_travel_in_the_query(house: Served) -> None:
    assert house.ask("POST", "/things?dry_run=true", {"name": "ghost"}).status == 201
    assert house.ask("GET", "/things/ghost").status == 404


def test_lists_in_the_query(house: Served) -> None:
    house.ask("POST", "/things", {"name": "vase", "tags": ["a", "b"]})
    found = house.ask("GET", "/things?tag=a&tag=b").json["things"]
    assert [thing["name"] for thing in found] == ["vase"]


def test_what_changes_something_is_audited_with_its_outcome(house: Served) -> None:
    house.audited.clear()
    house.ask("GET", "/things")
    house.ask("POST", "/things", {"name": "x"}, headers={"X-Request-Id": "mine"})
    house.ask("POST", "/things", {"name": "x"})
    house.ask("POST", "/things", {"name": ""})
    house.ask("POST", "/things/x/crash")
    told = [(a.operation, a.effect.value, a.actor, a.outcome) for a in house.audited]
    assert told == [
        ("thing.create", "write", "local", "ok"),
        ("thing.create", "write", "local", "thing_exists"),
        ("thing.create", "write", "local", "invalid_request"),
        ("thing.crash", "write", "local", "internal_error"),
    ]
    assert house.audited[0].request_id == "mine"


def test_the_figures_need_a_token_and_count_what_was_asked(house: Served) -> None:
    assert house.ask("GET", "//metrics", token=None).status == 401
    house.ask("GET", "/things/none")
    house.metrics.gauge("att_test_figure", "A figure.", lambda: 4.5)
    answer = house.ask("GET", "//metrics", token=READER)
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    lines = answer.body.decode().splitlines()
    assert 'att_requests_total{operation="thing.get",status="404"} 1.0' in lines
    assert 'att_info{release="r7",version="1.2.3"} 1.0' in lines
    assert "att_streams_open 0.0" in lines
    assert "att_test_figure 4.5" in lines
    assert TOKEN not in answer.body.decode()


def test_the_page_is_sent_with_a_policy_that_names_its_scripts(house: Served) -> None:
    page = house.settings.home / "page.html"
    page.write_text("<html><style>b{}</style><script>let a = 1;</script></html>")
    answer = house.ask("GET", "//", token=None)
    digest = base64.b64encode(hashlib.sha256(b"let a = 1;").digest()).decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"script-src 'sha256-{digest}';" in answer.headers["Content-Security-Policy"]
    again = house.ask("GET", "//", token=None, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    page.write_text("<html>new</html>")
    assert house.ask("GET", "//", token=None).body == b"<html>new</html>"


def test_an_installation_without_a_page(house: Served) -> None:
    assert house.ask("GET", "//").problem["code"] == "route_not_found"


ASKING = b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_who_was_taken_and_asks_in_the_last_moment_is_answered(house: Served) -> None:
    server = house.runner.server
    assert server is not None
    links = [socket.create_connection(("127.0.0.1", house.port), timeout=10) for _ in range(20)]
    eventually_sync(lambda: len(server.connections) == len(links))

    async def end() -> None:
        for link in links:  # the loop is held: it hears of none of them before the end begins
            link.sendall(ASKING)
        await house.runner.stop_taking()
        await house.runner.hear_out()
        await house.runner.cleanup()

    house.run(end())
    assert [link.recv(15) for link in links] == [b"HTTP/1.1 200 OK"] * len(links)
    for link in links:
        link.close()


@pytest.mark.parametrize("turns", range(6))
def test_who_comes_while_no_more_are_taken_is_answered_or_left_to_the_next(house: Served, turns: int) -> None:
    """The listening socket is shared, as the launcher shares it with the next daemon."""
    shared = socket.socket(fileno=os.dup(next(iter(house.runner.sites))._server.sockets[0].fileno()))  # type: ignore[attr-defined]
    shared.setblocking(False)
    links: list[socket.socket] = []

    async def end() -> None:
        for _ in range(20):  # the loop is held, then turns so many times before it is told to end
            links.append(socket.create_connection(("127.0.0.1", house.port), timeout=10))
            links[-1].sendall(ASKING)
        for _ in range(turns):
            await asyncio.sleep(0)
        await house.runner.stop_taking()
        await house.runner.hear_out()
        await house.runner.cleanup()

    house.run(end())
    left = set()
    with contextlib.suppress(BlockingIOError):
        while True:
            next_one, address = shared.accept()
            next_one.close()
            left.add(address)
    answered = [link for link in links if link.getsockname() not in left]
    assert [link.recv(15) for link in answered] == [b"HTTP/1.1 200 OK"] * len(answered)
    assert len(left) + len(answered) == len(links)
    for link in (*links, shared):
        link.close()


def test_readiness(house: Served) -> None:
    assert house.ask("GET", "/health?ready=1", token=None).status == 200
    reason: list[str] = ["the disk is full"]
    house.vitals.add("store", lambda: reason[0] if reason else None)
    told = house.ask("GET", "/health").json
    assert (told["status"], told["checks"]) == (
        "degraded",
        [{"name": "store", "ok": False, "reason": "the disk is full"}],
    )
    assert house.ask("GET", "/health?ready=1", token=None).status == 200, "it can still take work"
    reason.clear()
    house.vitals.add("disk", lambda: "gone" if reason else None, needed=True)
    assert house.ask("GET", "/health?ready=1", token=None).status == 200
    reason.append("x")
    assert house.ask("GET", "/health?ready=1", token=None).problem["state"] == "degraded"
    reason.clear()
    house.vitals.stopping()
    answer = house.ask("GET", "/health?ready=1", token=None)
    assert (answer.status, answer.problem["code"], answer.problem["state"]) == (503, "not_ready", "stopping")
    assert house.ask("GET", "/health", token=None).json["status"] == "stopping"


def test_many_requests_on_one_connection(shared: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=10)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for path, status in (
        ("/things/lamp", 200),
        ("/things/none", 404),
        ("/things?limit=x", 422),
        ("/things/lamp", 200),
    ):
        connection.request("GET", f"/api/v1{path}", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert not response.will_close
    connection.close()


@pytest.mark.parametrize("path", ["/openapi.json", "//metrics"])
def test_the_doors_own_addresses_take_no_query(shared: Served, path: str) -> None:
    assert shared.ask("GET", f"{path}?x=1").problem["code"] == "bad_request"


def test_a_home_without_a_page_has_no_other_files_either(house: Served, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    for path in ("//token", "//page.html", "//../token", "//%2e%2e/token"):
        assert house.ask("GET", path).status == 404


def test_a_client_that_leaves_in_the_middle_of_a_large_answer_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"name": "long", "extra": {"k": "x" * (12 << 20)}}).encode()
    with (
        served(tmp_path, body_limit=16 << 20) as house,
        socket.create_connection(("127.0.0.1", house.port)) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves with a reset
        head = f"POST /api/v1/things HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        assert client.recv(12) == b"HTTP/1.1 201"
        client.close()
        told = eventually_sync(lambda: house.audited)
        assert [(each.operation, each.outcome) for each in told] == [("thing.create", "ok")]
        counted = 'att_requests_total{operation="thing.create",status="201"} 1'
        eventually_sync(lambda: counted in house.metrics.text().decode())
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
