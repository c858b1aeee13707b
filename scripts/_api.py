"""What `scripts/run` speaks with: the daemon's API below, and the person in front of the terminal."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any


class Failed(Exception):
    """What went wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str = "", code: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy
        self.code = code


def say(text: str) -> None:
    print(f"· {text}", file=sys.stderr, flush=True)


class Bar:
    """Progress on one line of a terminal; elsewhere a line at each new phase."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._phase = ""

    def show(self, share: float, phase: str) -> None:
        if self._live:
            width = 28
            full = round(width * share)
            print(
                f"\r  {'━' * full}{'╌' * (width - full)} {share:4.0%} {phase:<12}",
                end="",
                file=sys.stderr,
                flush=True,
            )
        elif phase != self._phase:
            print(f"  {share:4.0%} {phase}", file=sys.stderr, flush=True)
        self._phase = phase

    def end(self) -> None:
        if self._live and self._phase:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


class Api:
    """The daemon's API."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self._token_file = home / "token"

    def __call__(
        self, method: str, path: str, body: dict[str, Any] | None = None, timeout: float = 30, **query: Any
    ) -> Any:
        address = f"{self.url}/api/v1{path}"
        if query:
            address += "?" + urllib.parse.urlencode(query)
        request = urllib.request.Request(address, method=method, headers={"Accept": "application/json"})
        with contextlib.suppress(OSError):
            request.add_header("Authorization", f"Bearer {self._token_file.read_text().strip()}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=timeout
            ) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise _told(error) from None


def _told(error: urllib.error.HTTPError) -> Failed:
    try:
        told = json.loads(error.read())
        failed = Failed(f"{told['title']}: {told['detail']}", told.get("hint", ""), told.get("code", ""))
    except (ValueError, KeyError, TypeError):
        failed = Failed(f"ATT answered {error.code} {error.reason}.")
    return failed
