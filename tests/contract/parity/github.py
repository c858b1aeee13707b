"""GitHub as far as the doors ask it: the name of the repository says how it answers, always the same.

`fine` does all that it is asked; the other names say what is in the way. What GitHub really does is tried in tests/att/git/forge.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.daemon import RunningDaemon

SHA, MOMENT = "1" * 40, "2026-11-21T01:02:03Z"
PULL: dict[str, Any] = {
    "number": 1,
    "state": "open",
    "title": "The work",
    "body": None,
    "user": {"login": "dev"},
    "head": {"ref": "feature", "sha": SHA},
    "base": {"ref": "main", "sha": "2" * 40},
    "merged": False,
    "mergeable_state": "clean",
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
RUN: dict[str, Any] = {
    "id": 1,
    "name": "ci",
    "head_sha": SHA,
    "status": "completed",
    "conclusion": "success",
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "run_started_at": MOMENT,
}
REVIEW = {"id": 1, "user": {"login": "dev"}, "state": "COMMENTED", "body": "ok", "submitted_at": MOMENT}
PULLS: dict[str, dict[str, Any]] = {
    "closed": {"state": "closed"},
    "dirty": {"mergeable_state": "dirty"},
    **{key: {"mergeable_state": "blocked"} for key in ("running", "failing", "unreviewed")},
}
RUNS: dict[str, dict[str, Any]] = {
    **{key: {"status": "in_progress", "conclusion": None} for key in ("running", "locked", "stuck")},
    "failing": {"conclusion": "failure"},
}
REFUSES: dict[str, tuple[int, str]] = {
    "unauthorized": (401, "Bad credentials"),
    "hidden": (404, "Not Found"),
    "refuses": (409, "Git Repository is empty"),
    "limited": (403, "You have exceeded a secondary rate limit"),
}
WRITING: dict[str, tuple[int, str]] = {  # only what changes something is refused
    "readonly": (404, "Not Found"),
    "locked": (404, "Not Found"),
    "broken": (500, "Server Error"),
    "stuck": (500, "Server Error"),
    "moved": (307, "Temporary Redirect"),
    "exists": (422, "A pull request already exists for octo:feature"),
    "own": (422, "Can not approve your own pull request"),
}
Told = tuple[int, Any]


def answer(method: str, repository: str, path: str) -> Told:
    """What GitHub answers to a request below the repository."""
    if repository in REFUSES:
        return REFUSES[repository]
    if repository in WRITING and method != "GET":
        return WRITING[repository]
    pull = {**PULL, **PULLS.get(repository, {})}
    run = {**RUN, **RUNS.get(repository, {})}
    merged = {"sha": "3" * 40, "merged": True}
    told: dict[str, Told] = {
        "GET ": (200, {"default_branch": "main"}),
        "GET /pulls": (200, [pull]),
        "POST /pulls": (201, pull),
        "GET /pulls/1": (200, pull),
        "PATCH /pulls/1": (200, {**pull, "state": "closed"}),
        "PUT /pulls/1/merge": (200, merged),
        "GET /pulls/1/reviews": (200, [REVIEW]),
        "POST /pulls/1/reviews": (200, REVIEW),
        "GET /actions/runs": (200, {"workflow_runs": [] if repository == "unreviewed" else [run]}),
        "GET /actions/runs/1": (200, run),
        "POST /actions/runs/1/cancel": (202, {}),
        "POST /actions/runs/1/rerun": (201, {}),
        "GET /actions/runs/1/logs": {"gone": (410, "Gone"), "broken": (200, {})}.get(repository, (302, "")),
        f"GET /commits/{SHA}/check-runs": (200, {"check_runs": []}),
    }
    return told.get(f"{method} {path}", (404, "Not Found"))


def log() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("1_test.txt", "all is said\n")
    return packed.getvalue()


class GitHub(BaseHTTPRequestHandler):
    def _any(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = re.fullmatch(r"/repos/octo/([a-z]+)([^?]*).*", self.path)
        if found is None:
            self._say(200, log())
            return
        status, told = answer(self.command, found[1], found[2])
        body = json.dumps({"message": told} if isinstance(told, str) else told).encode()
        heads = {"Location": "/elsewhere"} if status in (302, 307) else {}
        if found[1] == "limited":  # longer than is waited for, and soon over
            heads["Retry-After"] = "20.05"
        self._say(status, body, **heads)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def _say(self, status: int, body: bytes, **heads: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in heads.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:
        """Nobody reads it."""


def url(daemon: RunningDaemon) -> str:
    """Its base URL, which the daemon was told."""
    return (daemon.home.parent / "github").read_text()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Its base URL, which is noted in the folder beside the daemon's home."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="github")
    thread.start()
    try:
        told = f"http://127.0.0.1:{server.server_port}"
        (folder / "github").write_text(told)
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
