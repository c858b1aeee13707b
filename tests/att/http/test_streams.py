"""Answers that go on: representations, signs of life, slow and vanished clients, and the end of the daemon."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.att.http.house import READER, TOKEN, Served, served
from tests.support import eventually_sync


class Follower:
    """A client of one stream, reading as it comes."""

    def __init__(self, house: Served, path: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)
        given = {"Authorization": f"Bearer {TOKEN}", **headers}
        self.connection.request("GET", f"/api/v1{path}", headers=given)
        self.response = self.connection.getresponse()

    def line(self) -> str:
        return self.response.readline().decode().rstrip("\n")

    def lines(self, count: int) -> list[str]:
        return [self.line() for _ in range(count)]

    def rest(self) -> bytes:
        return self.response.read()

    def close(self) -> None:
        self.connection.sock and self.connection.sock.close()
        self.response.close()
        self.connection.close()


def grow(house: Served, *lines: str) -> None:
    house.call(house.things.grow, *lines)


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        (None, "", "application/json"),
        ("*/*", "", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "", "application/json"),
        ("application/json, text/event-stream;q=0.5", "", "application/json"),
        ("application/json;q=0.5, text/event-stream", "", "text/event-stream"),
        ("image/png", "", "application/json"),
        ("text/event-stream;q=0, */*", "", "application/json"),
        ("text/event-stream;q=wrong", "", "application/json"),
        ("text/event-stream", "", "text/event-stream"),
        ("Application/X-NDJSON", "", "application/x-ndjson"),
        ("text/plain", "", "text/plain; charset=utf-8"),
        ("application/json", "?format=sse", "text/event-stream"),
        ("text/event-stream", "?format=json", "application/json"),
        (None, "?format=ndjson", "application/x-ndjson"),
        (None, "?format=text&speed=slow", "text/plain; charset=utf-8"),
    ],
)
def test_the_representation_is_chosen_by_accept_or_format(
    shared: Served, accept: str | None, query: str, kind: str
) -> None:
    follower = Follower(shared, f"/things/lamp/lines{query}", **({"Accept": accept} if accept else {}))
    assert (follower.response.status, follower.response.headers["Content-Type"]) == (200, kind)
    assert follower.response.headers["X-Request-Id"]
    follower.close()


@pytest.mark.parametrize("query", ["format=xml", "format=sse&format=json", "format="])
def test_a_format_that_is_none(shared: Served, query: str) -> None:
    problem = shared.ask("GET", f"/things/lamp/lines?{query}").problem
    assert [fault["field"] for fault in problem["fields"]] == ["format"]


def test_format_is_an_unknown_field_where_there_are_no_streams(shared: Served) -> None:
    assert shared.ask("GET", "/things?format=json").status == 422


def test_an_operation_that_only_streams(shared: Served) -> None:
    follower = Follower(shared, "/things/lamp/feed")
    assert follower.response.headers["Content-Type"] == "application/x-ndjson"
    follower.close()


def test_problems_before_the_first_piece_are_problems(shared: Served) -> None:
    for accept in ("text/event-stream", "application/x-ndjson"):
        assert (
            shared.ask("GET", "/things/none/lines", headers={"Accept": accept}).problem["code"]
            == "thing_not_found"
        )
        answer = shared.ask("GET", "/things/lamp/lines?cursor=x", headers={"Accept": accept})
        assert answer.problem["code"] == "bad_cursor"
        assert shared.ask("GET", "/things/lamp/lines", token=None, headers={"Accept": accept}).status == 401


def test_lines_come_as_they_are_written_and_go_on_from_the_last_event_id(house: Served) -> None:
    grow(house, "one")
    follower = Follower(house, "/things/lamp/lines", Accept="text/event-stream")
    assert follower.lines(3) == ["id: 1", "data: one", ""]
    grow(house, "two")
    assert follower.lines(3) == ["id: 2", "data: two", ""]
    follower.close()
    grow(house, "three")
    again = Follower(house, "/things/lamp/lines", Accept="text/event-stream", **{"Last-Event-ID": "2"})
    assert again.lines(3) == ["id: 3", "data: three", ""]
    again.close()


def test_a_quiet_stream_gives_signs_of_life(tmp_path: Path) -> None:
    with served(tmp_path, heartbeat=0.05) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        follower = Follower(house, "/things/lamp/lines", Accept="text/event-stream")
        assert follower.lines(4) == [": ", "", ": ", ""]
        follower.close()


def test_other_formats_have_no_signs_of_life_in_them(tmp_path: Path) -> None:
    with served(tmp_path, heartbeat=0.02) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        quiet = Follower(house, "/things/lamp/lines?format=ndjson")
        beating = Follower(house, "/things/lamp/lines?format=sse")
        beating.lines(6)
        grow(house, "one")
        assert json.loads(quiet.line()) == {"cursor": "1", "text": "one"}
        quiet.close()
        beating.close()


def test_a_client_that_goes_away_ends_its_stream_at_once(house: Served) -> None:
    follower = Follower(house, "/things/lamp/lines?format=ndjson")
    eventually_sync(lambda: house.streams == 1)
    follower.close()
    eventually_sync(lambda: (house.streams, house.things.closed) == (0, 1), timeout=5)


def test_a_slow_client_is_waited_for_and_slows_nobody_else(house: Served) -> None:
    house.things.flood = True
    stuck = Follower(house, "/things/lamp/lines?format=text")
    last = -1

    def standing() -> bool:
        nonlocal last
        before, last = last, house.things.pulled
        return before == last and last > 0

    eventually_sync(standing, every=0.2)
    assert house.things.pulled < 200, "what is not taken must not be pulled"
    assert house.ask("GET", "/things/lamp").status == 200
    stuck.close()
    eventually_sync(lambda: house.streams == 0)


def test_streams_end_whole_when_the_daemon_stops_and_go_on_after(tmp_path: Path) -> None:
    with served(tmp_path) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        grow(house, "one", "two")
        followers = [
            Follower(house, f"/things/lamp/lines?format={kind}") for kind in ("sse", "ndjson", "text")
        ]
        for follower in followers:
            assert follower.line()
        house.run(house.runner.cleanup())
        assert followers[0].rest().endswith(b"id: 2\ndata: two\n\n")
        assert json.loads(followers[1].rest()) == {"cursor": "2", "text": "two"}
        assert followers[2].rest() == b"two\n"
        assert house.streams == 0
        assert house.things.closed == 3
        for follower in followers:
            follower.close()


def test_a_stuck_client_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with served(tmp_path) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        house.things.flood = True
        stuck = Follower(house, "/things/lamp/lines?format=text")
        eventually_sync(lambda: house.things.pulled > 1)
        house.run(house.runner.cleanup())
        assert house.streams == 0
        stuck.close()


def test_no_stream_begins_while_the_daemon_stops(house: Served) -> None:
    from att.http.app import drain

    house.run(drain(house.app))
    answer = house.ask("GET", "/things/lamp/lines?format=sse")
    assert (answer.status, answer.problem["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")
    assert house.ask("GET", "/things/lamp/lines").status == 200


def told_in_stream(house: Served, kind: str, word: str) -> Any:
    follower = Follower(house, f"/things/lamp/lines?format={kind}")
    grow(house, word)
    told = follower.rest()
    follower.close()
    return told


def test_a_problem_in_the_middle_is_told_in_the_stream(house: Served) -> None:
    told = json.loads(told_in_stream(house, "ndjson", "conflict"))
    assert told["problem"]["code"] == "thing_exists"


def test_an_unforeseen_error_in_the_middle_tells_nothing_of_the_inside(house: Served) -> None:
    told = told_in_stream(house, "ndjson", "boom")
    assert json.loads(told)["problem"]["code"] == "internal_error"
    assert b"inside" not in told


def test_head_of_a_stream_ends(house: Served) -> None:
    answer = house.ask("HEAD", "/things/lamp/lines", headers={"Accept": "text/event-stream"})
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "text/event-stream", b"")
    assert house.ask("HEAD", "/things/lamp/feed").status == 200
    assert house.ask("HEAD", "/things/none/feed").status == 404
    assert house.streams == 0


def test_many_followers_each_get_every_line(house: Served) -> None:
    followers = [Follower(house, "/things/lamp/lines?format=ndjson") for _ in range(20)]
    eventually_sync(lambda: house.streams == 20)
    grow(house, *[f"line {i}" for i in range(200)])
    for follower in followers:
        assert [json.loads(follower.line())["cursor"] for _ in range(200)] == [str(i + 1) for i in range(200)]
        follower.close()
    eventually_sync(lambda: house.streams == 0)


def test_a_connection_that_is_reset_ends_its_stream(house: Served) -> None:
    follower = Follower(house, "/things/lamp/lines?format=sse")
    eventually_sync(lambda: house.streams == 1)
    plug = follower.connection.sock
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    follower.close()
    eventually_sync(lambda: house.streams == 0, timeout=5)


def test_a_stream_ends_when_its_token_is_revoked(house: Served) -> None:
    followers = [
        Follower(house, "/things/lamp/lines?format=sse", Authorization=f"Bearer {token}")
        for token in (READER, TOKEN)
    ]
    eventually_sync(lambda: house.streams == 2)
    house.call(house.access.revoke, "reader")
    followers[0].rest()
    assert house.streams == 1
    grow(house, "more")
    assert any("more" in followers[1].line() for _ in range(10))
    followers[1].close()
