"""The service of the token room: named tokens in the store, and in the memory of whoever lets callers in.

The store keeps a digest only. A token that is revoked opens nothing from the moment the answer is given; streams that it has
open end within a few seconds, as they do when it expires.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from att.access import Access, Grant, digest_of, make_token
from att.catalogue import Call, Scope
from att.event.log import record
from att.problems import InvalidRequest
from att.store.store import Store
from att.store.tables import tokens
from att.store.times import now, stamp
from att.token.errors import OwnersToken, TokenExists, TokenNotFound, TooManyTokens
from att.token.models import CreateToken, NewToken, Token, TokenPage, TokenScope

OWNER = "owner"
RESERVED = frozenset({OWNER, "anonymous", "att", "local", "launcher"})  # who else acts in events
MOST = 1000
_RANKS = list(TokenScope)


class Tokens:
    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access

    async def open(self) -> None:
        """To be called once at start: what was made before is accepted."""
        for row in await self._store.read(lambda connection: connection.execute(select(tokens)).all()):
            self._access.accept(_grant(row))

    async def page(self, cursor: str | None, limit: int) -> TokenPage:
        """By name, the owner's first."""

        def read(connection: Connection) -> list[Row[Any]]:
            wanted = select(tokens).order_by(tokens.c.name).limit(limit + 1)
            return list(connection.execute(wanted.where(tokens.c.name > cursor) if cursor else wanted).all())

        rows = await self._store.read(read)
        found = [_token(row) for row in rows[:limit]]
        if cursor is None:
            found.insert(0, _owner())
        return TokenPage(tokens=found, next_cursor=found[-1].name if len(rows) > limit else None)

    async def create(self, wish: CreateToken, call: Call) -> NewToken:
        scopes = _implied(wish.scope)
        if wish.name.lower() in RESERVED:
            raise OwnersToken(f"The name {wish.name!r} is taken by ATT itself.")
        moment = datetime.now(UTC)
        if wish.expires_at is not None and wish.expires_at <= moment:
            fields = [{"field": "expires_at", "message": "lies in the past"}]
            raise InvalidRequest("`expires_at` lies in the past.", fields=fields)
        token = make_token()
        row = {
            "name": wish.name,
            "digest": digest_of(token).hex(),
            "scopes": json.dumps(sorted(scopes)),
            "created_at": stamp(moment),
            "created_by": call.actor,
            "expires_at": stamp(wish.expires_at) if wish.expires_at else None,
        }

        def write(connection: Connection) -> Row[Any]:
            if connection.execute(select(func.count()).select_from(tokens)).scalar_one() >= MOST:
                raise TooManyTokens(f"There are {MOST} tokens.")
            try:
                connection.execute(insert(tokens).values(**row))
            except IntegrityError:
                raise TokenExists(f"There is a token {wish.name!r} already.", name=wish.name) from None
            told = {"name": wish.name, "scopes": sorted(scopes), "expires_at": row["expires_at"]}
            record(
                connection, "auth.token_created", payload=told, actor=call.actor, request_id=call.request_id
            )
            return connection.execute(select(tokens).where(tokens.c.name == wish.name)).one()

        made = await self._store.write(write)
        self._access.accept(_grant(made))
        return NewToken(**_token(made).model_dump(), token=token)

    async def revoke(self, name: str, call: Call) -> Token:
        if name == OWNER:
            raise OwnersToken("The owner's token stands in a file of its own.")

        def write(connection: Connection) -> Row[Any]:
            row = connection.execute(select(tokens).where(tokens.c.name == name)).one_or_none()
            if row is None:
                raise TokenNotFound(f"There is no token {name!r}.", name=name)
            connection.execute(delete(tokens).where(tokens.c.name == name))
            record(
                connection,
                "auth.token_revoked",
                payload={"name": name},
                actor=call.actor,
                request_id=call.request_id,
            )
            return row

        gone = await self._store.write(write)
        self._access.revoke(name)
        return _token(gone)


def _implied(scope: TokenScope) -> frozenset[Scope]:
    return frozenset(Scope(each.value) for each in _RANKS[: _RANKS.index(scope) + 1])


def _listed(scopes: Iterable[str]) -> list[str]:
    return [each.value for each in _RANKS if each.value in set(scopes)]


def _grant(row: Row[Any]) -> Grant:
    until = datetime.fromisoformat(row.expires_at).timestamp() if row.expires_at else None
    return Grant(
        row.name, bytes.fromhex(row.digest), frozenset(Scope(each) for each in json.loads(row.scopes)), until
    )


def _token(row: Row[Any]) -> Token:
    return Token(
        name=row.name,
        scopes=_listed(json.loads(row.scopes)),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        expired=row.expires_at is not None and row.expires_at <= now(),
    )


def _owner() -> Token:
    return Token(
        name=OWNER,
        scopes=_listed(TokenScope),
        created_at=None,
        created_by="att",
        expires_at=None,
        expired=False,
    )
