"""Who is let in: the name that a request was sent to, the page it comes from, the token or session it carries.

A foreign `Host` is refused, so that a web page cannot reach this server under a name of its own that resolves to this
machine. A foreign `Origin` is refused, so that a page elsewhere cannot use what the browser knows. A session cookie is
sent by the browser on its own, so what changes something must also name our own origin. Tokens travel in the header
only: never in a query, which ends up in logs and histories. Decides only; the request's headers come in, the time too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from att.access import ANYBODY, Access, Caller
from att.catalogue import Operation, Scope
from att.config import Settings
from att.http.errors import ForeignHost, ForeignOrigin, MissingScope
from att.problems import Problem, Unauthorized

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_INVALID = "invalid_token"


def cookie_name(settings: Settings) -> str:
    """Browsers do not tell ports apart in cookies, so two daemons on one machine need two names."""
    return f"att_session_{settings.listen.port}"


class Guard:
    """The checks of one server."""

    def __init__(self, access: Access, settings: Settings) -> None:
        self.access = access
        self.cookie = cookie_name(settings)
        self._names = {"localhost", "127.0.0.1", "::1", settings.listen.host.lower()}
        self._names |= {name for name in settings.allowed_hosts if not _port_of(name)}
        self._exact = {name for name in settings.allowed_hosts if _port_of(name)}
        self._any_address = not settings.listen.loopback
        self._origins = frozenset(settings.cors_origins)
        self._known_hosts: set[str] = set()

    def host(self, host: str | None) -> None:
        """`ForeignHost` unless the request was sent to one of our names, with any port."""
        if host is None or host not in self._known_hosts:
            if host is None or not self._is_ours(host.lower()):
                raise ForeignHost("The request was sent to a name that is not this server's.")
            if len(self._known_hosts) < 64:
                self._known_hosts.add(host)

    def _is_ours(self, host: str) -> bool:
        if host in self._exact:
            return True
        try:
            parts = urlsplit(f"//{host}")
            name = parts.hostname or ""
            parts.port  # noqa: B018  raises for a port that is none
        except ValueError:
            return False
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return False
        return name in self._names or f"[{name}]" in self._names or (self._any_address and _is_address(name))

    def origin(self, origin: str | None, host: str | None) -> bool:
        """Whether the request comes from another page, one that is allowed. `ForeignOrigin` for any other."""
        if origin is None or self._is_same(origin, host):
            return False
        if origin.lower() in self._origins:
            return True
        raise ForeignOrigin("The request comes from a web page that is not allowed to use this server.")

    @staticmethod
    def _is_same(origin: str, host: str | None) -> bool:
        scheme, _, netloc = origin.lower().partition("://")
        return scheme in ("http", "https") and host is not None and netloc == host.lower()

    def caller(
        self,
        headers: Mapping[str, str],
        cookies: Mapping[str, str],
        method: str,
        now: float,
        *,
        upgrade: bool = False,
    ) -> Caller:
        """Who asks. `Unauthorized` for a token that is not accepted; `ANYBODY` when there is none at all."""
        given = headers.get("Authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            found = self.access.by_token(token.strip(), now) if scheme.lower() == "bearer" else None
            if found is None:
                raise Unauthorized("The token is not accepted.", reason=_INVALID)
            return found
        value = cookies.get(self.cookie)
        if value is None:
            return ANYBODY
        found = self.access.by_session(value, now)
        if found is None:
            raise Unauthorized(
                "The session has ended.", hint="Sign in again with the token.", reason=_INVALID
            )
        if (method not in SAFE or upgrade) and not self._from_here(headers):
            raise ForeignOrigin(
                "A session may change something only from this server's own page.",
                hint="Send the header `Origin`, or use the token in `Authorization` instead of the session.",
            )
        return found

    def still(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], method: str, now: float, scope: Scope
    ) -> bool:
        """Whether who sent this a while ago would be let in now: the token may have been revoked, or have ended."""
        try:
            require(self.caller(headers, cookies, method, now), scope)
        except Problem:
            return False
        return True

    def _from_here(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get("Origin")
        return origin is not None and (
            self._is_same(origin, headers.get("Host")) or origin.lower() in self._origins
        )


def permit(caller: Caller, operation: Operation) -> None:
    """`Unauthorized` or `MissingScope` unless the caller may use the operation."""
    require(caller, operation.scope)


def require(caller: Caller, scope: Scope) -> None:
    if scope in caller.scopes:
        return
    if caller is ANYBODY:
        raise Unauthorized("This needs a token.", reason="missing")
    raise MissingScope(f"The token of {caller.actor} lacks the scope `{scope}`.", scope=str(scope))


def _port_of(name: str) -> str:
    return name.rsplit("]", 1)[-1].rpartition(":")[2] if ":" in name.rsplit("]", 1)[-1] else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
