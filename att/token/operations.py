"""What can be asked about tokens: only by who has the scope `admin`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from att.catalogue import Call, Effect, Room, Scope
from att.store.errors import DiskFull
from att.token import errors
from att.token.models import CreateToken, ListTokens, NewToken, RevokeToken, Token, TokenPage

if TYPE_CHECKING:
    from att.token.tokens import Tokens

room = Room("token")


@room.operation("GET", "/tokens", effect=Effect.READ, scope=Scope.ADMIN, name="token.list")
async def list_all(ask: ListTokens, tokens: Tokens) -> TokenPage:
    """List the tokens by name; what they are themselves is kept nowhere."""
    return await tokens.page(ask.cursor, ask.limit)


@room.operation(
    "POST",
    "/tokens",
    effect=Effect.WRITE,
    scope=Scope.ADMIN,
    status=201,
    errors=(errors.TokenExists, errors.TooManyTokens, errors.OwnersToken, DiskFull),
    positional=("name",),
)
async def create(ask: CreateToken, call: Call, tokens: Tokens) -> NewToken:
    """Make a token with a name and a scope; the answer tells it, this once."""
    return await tokens.create(ask, call)


@room.operation(
    "DELETE",
    "/tokens/{name}",
    effect=Effect.DESTRUCTIVE,
    scope=Scope.ADMIN,
    errors=(errors.TokenNotFound, errors.OwnersToken),
)
async def revoke(ask: RevokeToken, call: Call, tokens: Tokens) -> Token:
    """Revoke a token: it and its browser sessions open nothing any more."""
    return await tokens.revoke(ask.name, call)
