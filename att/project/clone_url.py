"""Which URLs are cloned, how they are shown and kept, and which credentials they carry. Pure but for the resolving of local paths.

git runs programs for some URLs (`ext::sh -c …`), and takes others for flags. Only the forms that are named
here pass; the credentials are taken out at once, so that the URL which is given to git, kept, and told
holds none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from att.project.errors import CloneUrlRefused

_NETWORK = frozenset({"https", "http", "ssh", "git"})
_SCP = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.\-]*@)?[A-Za-z0-9_][A-Za-z0-9_.\-]*:(?!:)(?!//)[^\s]+")
_BRANCH = re.compile(r"(?!-)(?!.*(?:\.\.|@\{|//))[^\s\x00-\x20\x7f~^:?*\[\\]+(?<![./])")


@dataclass(frozen=True, slots=True)
class CloneUrl:
    """A URL that may be cloned.

    `local` is a path that must still be found to lie within the allowed roots.
    """

    url: str  # without credentials
    local: str | None = None
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def repository(self) -> str:
        """The last word of it: what the directory would be called."""
        last = PurePosixPath(re.split(r"[/:]", self.url.rstrip("/"))[-1]).name
        return last.removesuffix(".git")


def parse(url: str) -> CloneUrl:
    """The URL in its parts; `CloneUrlRefused` when it is of no form that is cloned."""
    if not url or url.startswith("-") or any(ord(c) <= 0x20 or c == "\x7f" for c in url):
        raise refused("it is empty, starts with a dash, or holds blanks")
    if url.startswith(("/", "~")):
        return CloneUrl(url=url, local=url)
    if "://" in url:
        return _with_scheme(url)
    if "::" not in url and _SCP.fullmatch(url):
        return CloneUrl(url=url)
    raise refused("it is none of the forms that are allowed")


def valid_branch(branch: str) -> str:
    if not _BRANCH.fullmatch(branch) or branch.endswith(".lock"):
        raise CloneUrlRefused(
            "This is no name of a branch.", fields=[{"field": "branch", "message": "not a branch name"}]
        )
    return branch


def _with_scheme(url: str) -> CloneUrl:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise refused(f"it cannot be read: {error}") from error
    scheme = parts.scheme.lower()
    if scheme == "file" and parts.netloc in ("", "localhost"):
        path = unquote(parts.path)
        return CloneUrl(url=path, local=path)
    if scheme not in _NETWORK:
        raise refused(f"{scheme}:// is not allowed" if scheme.isalnum() else "its scheme is not allowed")
    if not host or host.startswith("-") or "%" in host or parts.query or parts.fragment:
        raise refused("it names no host, or has a query")
    where = f"[{host}]" if ":" in host else host
    where = f"{where}:{port}" if port else where
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if any(ord(c) < 0x20 or c == "\x7f" for c in username + password):
        raise refused("its credentials hold control characters")
    if scheme == "ssh":
        if username.startswith("-"):
            raise refused("its user starts with a dash")
        user = f"{parts.username}@" if username else ""
        return CloneUrl(url=f"ssh://{user}{where}{parts.path}")
    return CloneUrl(url=f"{scheme}://{where}{parts.path}", username=username, password=password)


def refused(why: str) -> CloneUrlRefused:
    return CloneUrlRefused(f"This URL is not cloned: {why}.", fields=[{"field": "clone_url", "message": why}])
