"""The page at `/`: one file, sent to anybody, since it holds nothing; what it shows it asks for with the token.

Its scripts are named in the content security policy by their digests, so nothing that gets into the page by another
way can run. The file is read again when it changes on disk.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from att.http.errors import UnknownRoute

_SCRIPT = re.compile(rb"<script(?:\s[^>]*)?>(.*?)</script>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Read:
    """The file as it was read."""

    stamp: tuple[int, int]
    body: bytes
    headers: dict[str, str]


class Front:
    """Answers with one HTML file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: Read | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        page = self._now()
        if page.headers["ETag"] in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers={"ETag": page.headers["ETag"]})
        return web.Response(body=page.body, headers=page.headers)

    def _now(self) -> Read:
        try:
            about = self._file.stat()
            stamp = (about.st_mtime_ns, about.st_size)
            if self._read is None or self._read.stamp != stamp:
                body = self._file.read_bytes()
                self._read = Read(stamp, body, headers_for(body))
        except FileNotFoundError:
            raise UnknownRoute("This installation has no page.") from None
        return self._read


def headers_for(body: bytes) -> dict[str, str]:
    """Type, ETag and the policy for this page."""
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in _SCRIPT.findall(body)) or "'none'"
    policy = (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; manifest-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def _digest(script: bytes) -> str:
    return base64.b64encode(hashlib.sha256(script).digest()).decode()
