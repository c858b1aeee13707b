"""A whole ATT for end-to-end tests: launcher and daemon as a user starts them, in a home of its own, with a small real app."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import eventually_sync, free_port

ROOT = Path(__file__).resolve().parents[2]

# Serves /health on the port it is given, and writes a numbered line every 20 ms until it is ended.
APP = r"""
import http.server, itertools, os, sys, threading, time

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Health)
threading.Thread(target=server.serve_forever, daemon=True).start()
stamp = "2026-01-02 03:04:05"
print(f"{stamp} - WARNING  - app.tools:7 - \x1b[31mred\x1b[0m and <img src=x onerror=document.title='broken'>", flush=True)
print(f"{stamp} - ERROR    - app.tools:9 - it failed\nTraceback (most recent call last):\nValueError: no", flush=True)
for number in itertools.count():
    print(f"{stamp} - INFO     - app.count:1 - run {os.getpid()} line {number}", flush=True)
    time.sleep(0.02)
"""


@dataclass
class Att:
    """A running ATT and how to ask it."""

    process: subprocess.Popen[bytes]
    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON; AssertionError with the problem if it is one."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as line:
            head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            line.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), head)
            answer = line.getresponse()
            text = answer.read()
        assert answer.status < 400, text.decode()
        return json.loads(text) if text else None

    def well(self) -> bool:
        try:
            return bool(self.ask("GET", "/health")["status"] == "ok")
        except (OSError, http.client.HTTPException, AssertionError):
            return False

    def kill_daemon(self) -> None:
        """SIGKILL to the daemon; the launcher starts it again."""
        os.kill(self.ask("GET", "/health")["pid"], signal.SIGKILL)

    def make(self, name: str, settings: str) -> None:
        """A project in ATT's own folder with this att.toml."""
        folder = self.home / "projects" / name
        folder.mkdir(parents=True)
        (folder / "att.toml").write_text(settings)
        self.ask("POST", "/projects", {"name": name, "path": str(folder)})

    def make_app(self, name: str) -> None:
        """A project whose app is `APP`."""
        program = self.home / "app.py"
        program.write_text(APP)
        command = json.dumps([sys.executable, str(program), "{port}"])
        probe = '[[runtime.probe]]\nkind = "http"\npath = "/health"\nuse = ["startup", "readiness"]\nperiod = 0.5\n'
        self.make(name, f"[runtime]\ncommand = {command}\nport = {free_port()}\nstop_grace = 1\n{probe}")

    def ensure_running(self, name: str) -> None:
        """The app runs when this returns, whatever the test before left."""
        state = self.ask("GET", f"/projects/{name}/runtime/status")["state"]
        if state in ("stopped", "failed"):
            self.ask("POST", f"/projects/{name}/runtime/start?wait=ready&timeout=20")
        eventually_sync(lambda: self.ask("GET", f"/projects/{name}/runtime/status")["state"] == "running", 20)


@contextmanager
def att_up(home: Path) -> Iterator[Att]:
    """`att up`; all of it is gone when the block ends."""
    home.mkdir(mode=0o700)
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ATT_")}
    here = {"ATT_HOME": str(home), "ATT_LISTEN": f"127.0.0.1:{port}", "PYTHONPATH": str(ROOT)}
    with (home / "att.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "att", "up"],
            env=inherited | here,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    att = Att(process, home, port)
    try:
        eventually_sync(lambda: att.well() or process.poll() is not None, 30, 0.02)
        assert process.poll() is None, (home / "att.log").read_text()
        yield att
    finally:
        process.terminate()
        try:
            process.wait(40)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
