"""Who may ask: the token, and the browser's session that is made from it.

The token stands in `ATT_HOME/token`, readable by its owner only. A session is a signed cookie value: it names the
token by a digest, and the time when it ends, and is signed with the owner's. So nothing is kept on the server, a session
outlives a restart of the daemon, a token that is revoked takes its sessions with it, and a new token of the owner all. The
cookie does not hold the token. Deciding is free of I/O and takes the time; only `read_or_make_token` touches the disk.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from att import plain
from att.catalogue import Scope
from att.config import BadSettings

SESSION_SECONDS = 30 * 24 * 3600
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_SESSION = re.compile(r"([0-9]{1,12})\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Grant:
    """A token that is accepted, under a name that events may tell, and what it may do; of the token only its SHA-256."""

    name: str
    digest: bytes
    scopes: frozenset[Scope] = frozenset(Scope)
    expires_at: float | None = None
    """Seconds since 1970; None: until it is revoked."""

    @classmethod
    def of(cls, name: str, token: str, scopes: Iterable[Scope] = Scope) -> Grant:
        return cls(name, digest_of(token), frozenset(scopes))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    actor: str
    scopes: frozenset[Scope]


ANYBODY = Caller("anonymous", frozenset({Scope.OPEN}))


class Access:
    """The tokens that open the doors. The first grant is the owner's: its digest, which is kept nowhere, signs the sessions."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        known = list(grants)
        self._key = known[0].digest if known else secrets.token_bytes(32)
        self._known: dict[bytes, tuple[Grant, Caller]] = {}
        for grant in known:
            self.accept(grant)

    def accept(self, grant: Grant) -> None:
        """From now on this token opens what its scopes say."""
        self._known[grant.digest] = grant, Caller(grant.name, grant.scopes | {Scope.OPEN})

    def revoke(self, name: str) -> None:
        """From now on the token of this name and its sessions open nothing."""
        self._known = {digest: one for digest, one in self._known.items() if one[0].name != name}

    def by_token(self, token: str, now: float) -> Caller | None:
        """Who holds this token. It is looked up by its digest, so the time that takes tells nothing about it."""
        return self._caller(digest_of(token), now)

    def _caller(self, digest: bytes, now: float) -> Caller | None:
        grant, caller = self._known.get(digest, (None, None))
        if grant is not None and grant.expires_at is not None and now >= grant.expires_at:
            return None
        return caller

    def session_for(self, token: str, now: float) -> str | None:
        """A cookie value that stands for this token for `SESSION_SECONDS`; None when the token is not accepted."""
        if self.by_token(token, now) is None:
            return None
        until, digest = int(now) + SESSION_SECONDS, digest_of(token)
        return f"{until}.{_key_id(digest)}.{self._signature(digest, until)}"

    def by_session(self, value: str, now: float) -> Caller | None:
        """Who signed in with this cookie value; None when it is not ours, has ended or its token is gone."""
        parts = _SESSION.fullmatch(value)
        if parts is None or now >= int(parts[1]):
            return None
        for digest in self._known:
            if hmac.compare_digest(_key_id(digest), parts[2]) and hmac.compare_digest(
                self._signature(digest, int(parts[1])), parts[3]
            ):
                return self._caller(digest, now)
        return None

    def _signature(self, digest: bytes, until: int) -> str:
        made = hmac.digest(self._key, b"att session until %d of " % until + digest, "sha256")
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def make_token() -> str:
    return f"att_{secrets.token_urlsafe(32)}"


def _key_id(digest: bytes) -> str:
    return hmac.digest(digest, b"att session key", "sha256")[:8].hex()


def read_token(file: Path) -> str:
    """The token of the file. `BadSettings` when there is none, it is not ours alone, or it holds something else."""
    try:
        with plain.opened(file) as opened:
            about = os.fstat(opened.fileno())
            text = opened.read(1024).decode("ascii", "replace").strip()
    except OSError as error:
        raise _bad(file, f"cannot be read: {error.strerror}", "Check its owner and its rights.") from None
    if stat.S_IMODE(about.st_mode) & 0o077:
        raise _bad(
            file, "can be read by others", f"Run `chmod 600 {file}`; if it may have been seen, delete it."
        )
    if not _TOKEN.fullmatch(text):
        raise _bad(file, "does not hold a token", "Delete it; the daemon makes a new one when it starts.")
    return text


def read_or_make_token(file: Path) -> str:
    """The token of the file, which is made when it is missing: whole, on disk, and never readable by others."""
    if not os.path.lexists(file):
        _make_token(file)
    return read_token(file)


def _make_token(file: Path) -> None:
    """Written beside and linked into place, so that of two that start at once one wins and both read the same."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{make_token()}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with suppress(FileExistsError):
            os.link(draft, file)
    except OSError as error:
        raise _bad(
            file, f"cannot be made: {error.strerror}", "Check the folder's rights and free space."
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _bad(file: Path, what: str, remedy: str) -> BadSettings:
    return BadSettings(f"The token file {file} {what}.", hint=remedy, source=str(file), key=None)
