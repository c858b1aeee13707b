"""Which forge a project's pull requests are kept by, told from its remote and the settings. Does no I/O.

GitHub is taken when the remote `origin` points to the host that `github_url` speaks for (github.com for api.github.com; the
same host for GitHub Enterprise and its /api/v3). The token goes to `github_url` and nowhere else, whatever a project says: so
a project may choose the kind of its forge in its att.toml, but neither the URL nor the token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from att.event.redact import hide
from att.git.forge.errors import NoForge

Kind = Literal["auto", "github", "local"]
_SCP = re.compile(
    r"(?:[A-Za-z0-9._-]+@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{2,}):(?P<path>[^/].*|/.*)"
)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at GitHub."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL of a remote points: `host` empty for a path on this machine; `port` None when it does not say which API."""

    host: str
    port: int | None
    path: str


def place(url: str) -> Place:
    """`https://…`, `ssh://…`, `git@host:path`, `file://…` or a path."""
    if "://" in url:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme == "file":
            return Place("", None, parts.path)
        web = parts.scheme in _PORTS
        return Place(
            (parts.hostname or "").lower(), (port or _PORTS[parts.scheme]) if web else None, parts.path
        )
    found = _SCP.fullmatch(url)
    if found and not url.startswith(("/", ".")):
        return Place(found["host"].strip("[]").lower(), None, found["path"])
    return Place("", None, url)


def local_path(url: str) -> str | None:
    """The path of a remote on this machine; None for one elsewhere."""
    found = place(url)
    return found.path if not found.host and found.path else None


def web_host(api: str) -> tuple[str, int | None]:
    """Host and port whose repositories the API at this URL speaks for."""
    parts = urlsplit(api)
    host = (parts.hostname or "").lower()
    return host.removeprefix("api."), parts.port or _PORTS.get(parts.scheme)


def repository(url: str, api: str) -> Repository | None:
    """The repository at GitHub that a remote's URL names; None when it is not one of this API's."""
    found = place(url)
    host, port = web_host(api)
    if not found.host or found.host.removeprefix("ssh.").removeprefix("www.") != host:
        return None
    if found.port is not None and found.port != port:
        return None
    names = [part for part in found.path.removesuffix("/").removesuffix(".git").split("/") if part]
    if len(names) != 2 or not all(_NAME.fullmatch(name) and name not in (".", "..") for name in names):
        return None
    return Repository(*names)


def choose(kind: Kind, remote: str | None, api: str) -> Repository | None:
    """The repository at GitHub whose pull requests are meant; None for the local forge."""
    if kind == "local":
        return None
    found = repository(remote, api) if remote else None
    if found is None and kind == "github":
        host = web_host(api)[0]
        said = (
            f"The remote `origin` ({hide(remote)}) is" if remote else "There is no remote `origin`, so it is"
        )
        raise NoForge(f"{said} no repository at {host}.", remote=hide(remote) if remote else None)
    return found
