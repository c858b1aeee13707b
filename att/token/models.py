"""What is asked and answered about tokens."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from att.store.times import Timestamp

TokenName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", max_length=64)]


class TokenScope(StrEnum):
    """What a token may do. Each holds those before it."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"
    ADMIN = "admin"


class ListTokens(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=100, ge=1, le=1000)


class CreateToken(BaseModel):
    """Who holds the token with `write` can run programs as the user of the daemon."""

    model_config = ConfigDict(extra="forbid")

    name: TokenName = Field(description="Events name who acted by it.")
    scope: TokenScope = Field(
        default=TokenScope.READ,
        description="What it may do: read, write, destructive, admin; each holds those before.",
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="From when on it opens nothing; null: never."
    )


class RevokeToken(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: TokenName


class Token(BaseModel):
    """A token by its name; what it is itself is told once, when it is made."""

    name: str
    scopes: list[str]
    created_at: Timestamp | None = Field(description="null: the owner's, which was there first.")
    created_by: str
    expires_at: Timestamp | None
    expired: bool


class NewToken(Token):
    token: str = Field(description="The secret. It is kept nowhere: note it now.")


class TokenPage(BaseModel):
    tokens: list[Token]
    next_cursor: str | None
