"""Who may ask: the token, and the browser's session that is made from it.

The token stands in `ATT_HOME/token`, readable by its owner only. A session is a signed cookie value: it holds the name
of the token and the time when it ends, and is signed with the token. So nothing is kept on the server, a session
outlives a restart of the daemon, and a token that is changed or revoked takes its sessions with it. The cookie does not
hold the token. Deciding is free of I/O and takes the time; only `read_or_make_token` touches the disk.
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

from att.catalogue import Scope
from att.config import BadSettings

SESSION_SECONDS = 30 * 24 * 3600
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_SESSION = re.compile(r"([0-9]{1,12})\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Grant:
    """A token that is accepted, under a name that events may tell, and what it may do."""

    name: str
    token: str
    scopes: frozenset[Scope] = frozenset(Scope)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.token.encode()).digest()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    actor: str
    scopes: frozenset[Scope]


ANYBODY = Caller("anonymous", frozenset({Scope.OPEN}))


class Access:
    """The tokens that open the doors. The first grant is the owner's."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._grants = [
            (grant, grant.digest, Caller(grant.name, grant.scopes | {Scope.OPEN})) for grant in grants
        ]

    def by_token(self, token: str) -> Caller | None:
        """Who holds this token. Takes the same time whatever is wrong with it."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = None
        for _, known, caller in self._grants:
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def session_for(self, token: str, now: float) -> str | None:
        """A cookie value that stands for this token for `SESSION_SECONDS`; None when the token is not accepted."""
        if self.by_token(token) is None:
            return None
        until = int(now) + SESSION_SECONDS
        return f"{until}.{_key_id(token)}.{_signature(token, until)}"

    def by_session(self, value: str, now: float) -> Caller | None:
        """Who signed in with this cookie value; None when it is not ours, has ended or its token is gone."""
        parts = _SESSION.fullmatch(value)
        if parts is None:
            return None
        until = int(parts[1])
        found = None
        for grant, _, caller in self._grants:
            same = hmac.compare_digest(_signature(grant.token, until), parts[3])
            if same and hmac.compare_digest(_key_id(grant.token), parts[2]):
                found = caller
        return found if now < until else None


def _key_id(token: str) -> str:
    return hmac.digest(token.encode(), b"att session key", "sha256")[:8].hex()


def _signature(token: str, until: int) -> str:
    made = hmac.digest(token.encode(), f"att session until {until}".encode(), "sha256")
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def read_token(file: Path) -> str:
    """The token of the file. `BadSettings` when there is none, it is not ours alone, or it holds something else."""
    try:
        with file.open("rb") as opened:
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
            os.write(descriptor, f"att_{secrets.token_urlsafe(32)}\n".encode())
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
