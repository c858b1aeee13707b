"""What can go wrong with tokens."""

from __future__ import annotations

from att.problems import Conflict, Forbidden, NotFound


class TokenExists(Conflict):
    code, title = "token_exists", "There is a token of this name"
    hint = "Revoke it first, or choose another name; `att token list` tells which there are."


class TokenNotFound(NotFound):
    code, title = "token_not_found", "There is no such token"
    hint = "`att token list` tells which there are."


class TooManyTokens(Conflict):
    code, title = "too_many_tokens", "There are as many tokens as may be"
    hint = "Revoke those that nobody uses any more."


class OwnersToken(Forbidden):
    code, title = "owners_token", "The owner's token is not made or revoked here"
    hint = "To exchange it, delete the file `token` of ATT_HOME and start ATT anew; that ends all sessions as well."
