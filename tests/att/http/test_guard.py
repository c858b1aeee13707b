"""Who is let in: names, pages, tokens and sessions."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from att.access import SESSION_SECONDS, Access, Grant
from att.config import Settings
from att.http.errors import ForeignHost, ForeignOrigin
from att.http.guard import Guard
from att.problems import Unauthorized
from tests.att.http.house import READER, TOKEN, Answer, Served, served

OURS = "http://localhost:8484"


def guard(**settings: object) -> Guard:
    return Guard(
        Access([Grant.of("local", TOKEN)]), Settings.model_validate({"home": Path("/nowhere"), **settings})
    )


@pytest.mark.parametrize("host", ["localhost", "localhost:8484", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8484"])
def test_our_names_are_taken_with_any_port(host: str) -> None:
    for _ in range(2):
        guard().host(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "localhost.evil.example", "evil.example:8484", "127.0.0.1.evil.example", "user@localhost",
     "localhost/x", "localhost:x", "localhost:99999", "[::1", "10.0.0.1", "localhost\x00", "localhost:8484:1", "[::2]"],
)  # fmt: skip
def test_other_names_are_refused(host: str | None) -> None:
    with pytest.raises(ForeignHost):
        guard().host(host)


def test_names_from_the_settings() -> None:
    named = guard(allowed_hosts=("att.example", "other.example:8000"))
    named.host("att.example:99")
    named.host("other.example:8000")
    with pytest.raises(ForeignHost):
        named.host("other.example:8001")


def test_an_address_is_a_name_of_ours_only_when_we_listen_beyond_this_machine() -> None:
    guard(listen="0.0.0.0:8484", allow_remote=True).host("192.0.2.7:8484")
    with pytest.raises(ForeignHost):
        guard(listen="0.0.0.0:8484", allow_remote=True).host("evil.example")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:8485", "localhost:8484", "file://", ""]
)
def test_other_pages_are_refused(origin: str) -> None:
    with pytest.raises(ForeignOrigin):
        guard().origin(origin, "localhost:8484")


def test_our_page_and_configured_ones_are_taken() -> None:
    known = guard(cors_origins=("https://page.example",))
    assert known.origin(None, "localhost:8484") is False
    assert known.origin(OURS, "localhost:8484") is False
    assert known.origin("https://page.example", "localhost:8484") is True


def test_a_session_is_refused_where_it_would_change_something_for_another_page() -> None:
    ours = guard()
    now = 1_000_000.0
    value = ours.access.session_for(TOKEN, now)
    assert value is not None
    cookies = {ours.cookie: value}
    here = {"Origin": OURS, "Host": "localhost:8484"}
    assert ours.caller({"Host": "localhost:8484"}, cookies, "GET", now).actor == "local"
    assert ours.caller(here, cookies, "POST", now).actor == "local"
    for headers in ({"Host": "localhost:8484"}, {**here, "Origin": "null"}):
        with pytest.raises(ForeignOrigin):
            ours.caller(headers, cookies, "POST", now)
        with pytest.raises(ForeignOrigin):
            ours.caller(headers, cookies, "GET", now, upgrade=True)
    with pytest.raises(Unauthorized):
        ours.caller(here, cookies, "GET", now + SESSION_SECONDS)


def test_foreign_names_and_pages_at_the_door(shared: Served) -> None:
    for path in ("/health", "/things", "/nothing", "//", "//metrics"):
        answer = shared.ask("GET", path, headers={"Host": "evil.example"})
        assert (answer.status, answer.problem["code"]) == (421, "foreign_host")
        answer = shared.ask("GET", path, headers={"Origin": "http://evil.example"})
        assert (answer.status, answer.problem["code"]) == (403, "foreign_origin")
        assert answer.headers["Access-Control-Allow-Origin"] is None


def test_a_configured_page_may_read_answers_and_errors(tmp_path: Path) -> None:
    with served(tmp_path, cors_origins=("https://page.example",)) as house:
        origin = {"Origin": "https://page.example"}
        for path, status in (("/things", 200), ("/things/none", 404)):
            answer = house.ask("GET", path, headers=origin)
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (
                status,
                origin["Origin"],
            )
            assert answer.headers["Vary"] == "Origin"
        asked = {
            **origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        answer = house.ask("OPTIONS", "/things", token=None, headers=asked)
        assert answer.status == 204
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert answer.headers["Access-Control-Allow-Credentials"] is None


def cookie_of(answer: Answer) -> str:
    return str(answer.headers["Set-Cookie"]).split(";")[0]


def sign_in(house: Served, token: str = TOKEN) -> str:
    answer = house.ask("POST", "/session", {"token": token}, token=None)
    assert answer.status == 200, answer.body
    return cookie_of(answer)


def test_the_token_is_traded_for_a_cookie_that_scripts_cannot_read(house: Served) -> None:
    answer = house.ask("POST", "/session", {"token": TOKEN}, token=None)
    assert answer.json["actor"] == "local"
    assert answer.json["expires_in"] == SESSION_SECONDS
    told = answer.headers["Set-Cookie"]
    assert TOKEN not in told
    assert {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_SECONDS}"} <= set(told.split("; "))
    cookie = {"Cookie": cookie_of(answer)}
    assert house.ask("GET", "/things/lamp", token=None, headers=cookie).status == 200
    refused = house.ask("DELETE", "/things/lamp", token=None, headers=cookie)
    assert (refused.status, refused.problem["code"]) == (403, "foreign_origin")
    here = {**cookie, "Origin": house.url}
    assert house.ask("DELETE", "/things/lamp", token=None, headers=here).status == 204


def test_a_session_has_no_more_scopes_than_its_token(house: Served) -> None:
    here = {"Cookie": sign_in(house, READER), "Origin": house.url}
    assert house.ask("GET", "/things", token=None, headers=here).status == 200
    assert (
        house.ask("POST", "/things", {"name": "x"}, token=None, headers=here).problem["code"]
        == "missing_scope"
    )


def test_a_session_outlives_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as house:
        cookie = {"Cookie": sign_in(house)}
    with served(tmp_path) as house:
        assert house.ask("GET", "/things", token=None, headers=cookie).status == 200


def test_signing_out_takes_the_cookie_away(house: Served) -> None:
    answer = house.ask(
        "DELETE", "/session", token=None, headers={"Cookie": sign_in(house), "Origin": house.url}
    )
    assert answer.status == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({"token": "wrong-token-of-nobody"}, {}, 401, "unauthorized"),
        ({}, {}, 401, "unauthorized"),
        (None, {}, 401, "unauthorized"),
        ({"token": 5}, {}, 422, "invalid_request"),
        ({"secret": TOKEN}, {}, 422, "invalid_request"),
        (b"{", {"Content-Type": "application/json"}, 400, "malformed_json"),
        (
            f"token={TOKEN}".encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
            415,
            "unsupported_media_type",
        ),
    ],
)
def test_a_sign_in_that_is_refused(
    shared: Served, body: object, headers: dict[str, str], status: int, code: str
) -> None:
    answer = shared.ask("POST", "/session", body, token=None, headers=headers)
    assert (answer.status, answer.problem["code"]) == (status, code)
    assert answer.headers["Set-Cookie"] is None
    assert TOKEN.encode() not in answer.body


def test_signing_in_by_the_header(shared: Served) -> None:
    assert shared.ask("POST", "/session").status == 200


def test_signing_in_with_the_token_in_the_query_is_refused(shared: Served) -> None:
    assert shared.ask("POST", f"/session?token={TOKEN}", token=None).status == 400


@pytest.mark.parametrize("value", ["x", "9999999999.0123456789abcdef." + "a" * 43, "", "1." * 3, "é"])
def test_a_cookie_that_was_made_up(shared: Served, value: str) -> None:
    headers = {"Cookie": f"att_session_0={value}"}
    assert shared.ask("GET", "/things", token=None, headers=headers).problem["code"] == "unauthorized"


def test_a_session_that_was_lengthened_by_hand(shared: Served) -> None:
    value = shared.app is not None and Access([Grant.of("local", TOKEN)]).session_for(
        TOKEN, time.time() - SESSION_SECONDS - 5
    )
    assert value
    until, rest = value.split(".", 1)
    for cookie in (value, f"{int(until) + 10_000_000}.{rest}"):
        headers = {"Cookie": f"att_session_0={cookie}"}
        assert shared.ask("GET", "/things", token=None, headers=headers).status == 401


def test_health_needs_no_token_and_tells_little_without(shared: Served) -> None:
    bare = shared.ask("GET", "/health", token=None)
    assert bare.status == 200
    assert bare.json == {
        "status": "ok",
        "release": "r7",
        "version": "1.2.3",
        "pid": None,
        "uptime_seconds": None,
        "checks": None,
        "safe_mode": False,
        "boot_id": None,
        "heartbeat": None,
    }
    assert shared.ask("GET", "/health").json["pid"] > 0
    assert shared.ask("GET", "/health", token=None, headers={"Authorization": "Bearer x"}).status == 401


def test_anybody_may_sign_in_but_with_few_bytes(tmp_path: Path) -> None:
    with served(tmp_path, body_limit=1 << 20) as house:
        body = b'{"token": "' + b"x" * 5000 + b'"}'
        headers = {"Content-Type": "application/json"}
        answer = house.ask("POST", "/session", body, token=None, headers=headers)
        assert (answer.status, answer.problem["limit"]) == (413, 4096)
