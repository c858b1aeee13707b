"""Repositories to clone: bare ones on the disk, and the same over HTTP with a password."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

IDENTITY = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]


def git(folder: Path, *words: str) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=folder, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout


def repository(folder: Path, files: dict[str, str] | None = None) -> Path:
    """A bare repository with one commit on `main` and one on `side`, ready for a dumb server."""
    work = folder.with_name(f"{folder.name}-work")
    work.mkdir(parents=True)
    git(work, "init")
    for name, text in (files or {"README.md": "hello\n"}).items():
        (work / name).write_text(text)
    git(work, "add", ".")
    git(work, "commit", "-m", "first")
    git(work, "branch", "side")
    git(folder.parent, "clone", "--bare", str(work), str(folder))
    git(folder, "update-server-info")
    return folder


@contextmanager
def served(
    folder: Path, *, user: str = "", password: str = "", hang: threading.Event | None = None
) -> Iterator[str]:
    """`folder` over HTTP, as files; with a password, when one is named. With `hang` each answer waits for it."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if hang is not None:
                hang.wait(30)
            file = folder / self.path.split("?")[0].lstrip("/")
            if password and self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
                self.end_headers()
            elif file.is_file():
                self.send_response(200)
                self.end_headers()
                self.wfile.write(file.read_bytes())
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        if hang is not None:
            hang.set()
        server.shutdown()
        thread.join()
        server.server_close()
