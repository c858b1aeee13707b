"""Where an archive comes from, and which URLs are asked at all. Does no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from att.project.errors import DownloadUrlRefused

_SUFFIX = re.compile(r"(?i)\.(?:zip|tar|tar\.gz|tgz|tar\.bz2|tbz2)$")


@dataclass(frozen=True, slots=True)
class Archive:
    """Where an archive comes from: a URL, or a file on this machine. `strip`: a single directory at its top is left out."""

    url: str | None
    file: Path | None
    strip: bool = True

    @property
    def shown(self) -> str:
        """Without what may be a secret: a query."""
        if self.url is None:
            return str(self.file)
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


def checked_url(url: str, *, field: str = "url") -> str:
    """The URL, if it is one that is asked at all."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or any(ord(char) < 33 or ord(char) == 127 for char in url):
        fields = [{"field": field, "message": "must be http:// or https:// with a host"}]
        raise DownloadUrlRefused("An archive is fetched from http:// or https:// only.", fields=fields)
    if parts.username is not None or parts.password is not None:
        fields = [{"field": field, "message": "must have no user and no password"}]
        raise DownloadUrlRefused("Credentials in the URL are not taken.", fields=fields)
    return url


def name_in(source: str) -> str:
    """What a project from this URL or path is called when nobody says."""
    path = urlsplit(source).path if "://" in source else source
    return _SUFFIX.sub("", unquote(path).rstrip("/").rpartition("/")[2]) or "download"
