"""Named tokens: made once, kept as a digest, accepted until they end or are revoked, through a restart too."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from att.access import Access, Grant
from att.catalogue import Scope
from att.problems import InvalidRequest
from att.token.errors import OwnersToken, TokenExists, TokenNotFound, TooManyTokens
from att.token.models import CreateToken, TokenScope
from att.token.tokens import Tokens
from tests.att.rooms import CALL, on_a_loop, rooms
from tests.daemon import running

OWNERS = "att_0123456789abcdef"


def access() -> Access:
    return Access([Grant.of("owner", OWNERS)])


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


@on_a_loop
async def test_a_token_opens_what_its_scope_says_and_all_below_it(tmp_path: Path) -> None:
    async with rooms(tmp_path) as here:
        doors = access()
        tokens = Tokens(here.store, doors)
        for at, scope in enumerate(TokenScope):
            made = await tokens.create(CreateToken(name=f"one-{scope}", scope=scope), CALL)
            caller = doors.by_token(made.token, time.time())
            assert caller is not None
            assert caller.actor == f"one-{scope}"
            assert caller.scopes == {Scope.OPEN, *(Scope(each) for each in list(TokenScope)[: at + 1])}


@on_a_loop
async def test_it_is_told_once_and_kept_nowhere(tmp_path: Path) -> None:
    async with rooms(tmp_path) as here:
        tokens = Tokens(here.store, access())
        made = await tokens.create(CreateToken(name="agent"), CALL)
        page = await tokens.page(None, 100)
        assert [each.name for each in page.tokens] == ["owner", "agent"]
        assert made.token not in page.model_dump_json()
        told = await here.told("auth.*")
        assert [event.event_type for event in told] == ["auth.token_created"]
        assert made.token not in told[0].model_dump_json()
    assert not [file for file in files(tmp_path) if made.token.encode() in file.read_bytes()]


@on_a_loop
async def test_the_next_life_accepts_it_and_knows_its_end(tmp_path: Path) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    async with rooms(tmp_path) as here:
        made = await Tokens(here.store, access()).create(CreateToken(name="agent", expires_at=end), CALL)
    async with rooms(tmp_path) as here:
        doors = access()
        await Tokens(here.store, doors).open()
        assert doors.by_token(made.token, time.time()) is not None
        assert doors.by_token(made.token, end.timestamp() + 1) is None
        session = doors.session_for(made.token, time.time())
        assert session is not None
        assert doors.by_session(session, end.timestamp() - 1) is not None
        assert doors.by_session(session, end.timestamp() + 1) is None


@on_a_loop
async def test_a_revoked_token_and_its_sessions_open_nothing(tmp_path: Path) -> None:
    async with rooms(tmp_path) as here:
        doors = access()
        tokens = Tokens(here.store, doors)
        made = await tokens.create(CreateToken(name="agent"), CALL)
        session = doors.session_for(made.token, 0.0)
        assert session is not None
        assert (await tokens.revoke("agent", CALL)).name == "agent"
        assert doors.by_token(made.token, 0.0) is None
        assert doors.by_session(session, 1.0) is None
        assert doors.by_token(OWNERS, 0.0) is not None
        with pytest.raises(TokenNotFound):
            await tokens.revoke("agent", CALL)
        assert [e.event_type for e in await here.told("auth.*")] == [
            "auth.token_created",
            "auth.token_revoked",
        ]
        again = await tokens.create(CreateToken(name="agent"), CALL)
        assert again.token != made.token


@on_a_loop
async def test_what_cannot_be_made_is_refused_and_told_by_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rooms(tmp_path) as here:
        tokens = Tokens(here.store, access())
        await tokens.create(CreateToken(name="agent"), CALL)
        with pytest.raises(TokenExists):
            await tokens.create(CreateToken(name="agent"), CALL)
        for name in ("owner", "Owner", "anonymous", "att"):
            with pytest.raises(OwnersToken):
                await tokens.create(CreateToken(name=name), CALL)
        with pytest.raises(OwnersToken):
            await tokens.revoke("owner", CALL)
        with pytest.raises(InvalidRequest):
            await tokens.create(CreateToken(name="late", expires_at=datetime(2020, 1, 1, tzinfo=UTC)), CALL)
        monkeypatch.setattr("att.token.tokens.MOST", 1)
        with pytest.raises(TooManyTokens):
            await tokens.create(CreateToken(name="more"), CALL)
        assert len(await here.told("auth.*")) == 1


@on_a_loop
async def test_they_are_listed_page_by_page(tmp_path: Path) -> None:
    async with rooms(tmp_path) as here:
        tokens = Tokens(here.store, access())
        for number in range(5):
            await tokens.create(CreateToken(name=f"t{number}"), CALL)
        first = await tokens.page(None, 2)
        second = await tokens.page(first.next_cursor, 2)
        third = await tokens.page(second.next_cursor, 2)
        names = [each.name for page in (first, second, third) for each in page.tokens]
        assert names == ["owner", "t0", "t1", "t2", "t3", "t4"]
        assert third.next_cursor is None


def test_each_door_asks_for_the_scope_of_the_operation(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        made = {
            scope: daemon.ask("POST", "/tokens", {"name": scope, "scope": scope}).json["token"]
            for scope in ("read", "write", "destructive")
        }

        def status(scope: str, method: str, path: str, body: object = None) -> int:
            return daemon.ask(method, path, body, Authorization=f"Bearer {made[scope]}").status

        wish = {"name": "demo", "template": "echo"}
        assert status("read", "GET", "/projects") == 200
        refused = daemon.ask("POST", "/projects", wish, Authorization=f"Bearer {made['read']}")
        assert (refused.status, refused.json["code"], refused.json["scope"]) == (
            403,
            "missing_scope",
            "write",
        )
        assert status("write", "POST", "/projects", wish) == 201
        assert status("write", "DELETE", "/projects/demo") == 403
        assert status("destructive", "GET", "/tokens") == 403
        assert status("destructive", "DELETE", "/projects/demo") == 200
        created = daemon.ask("GET", "/events?type=project.created").json["events"][0]
        assert created["actor"] == "write"
        assert daemon.ask("DELETE", "/tokens/write").status == 200
        assert status("write", "GET", "/projects") == 401
