"""Repositories over HTTP by git's own `http-backend`, on loopback: with a password, failing, or breaking off in the middle."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Served:
    """`fail` answers 503 that many times; `cut` ends the connection in the middle of that many posted requests."""

    folder: Path
    user: str = ""
    password: str = ""
    fail: int = 0
    cut: int = 0
    hang: threading.Event | None = None
    host: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def backend(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[list[tuple[str, str]], bytes]:
        path, _, query = handler.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": handler.command,
            "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
            "REMOTE_USER": self.user or "somebody",
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.receivepack",
            "GIT_CONFIG_VALUE_0": "true",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        lines = (line.split(": ", 1) for line in head.decode().split("\r\n"))
        return [(name, value) for name, value in lines], rest


@contextmanager
def serving(folder: Path, **named: object) -> Iterator[Served]:
    """`folder` with its bare repositories at http://{host}/."""
    served = Served(folder, **named)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            if served.hang is not None:
                served.hang.wait(30)
            body = self._body()
            served.asked.append(f"{self.command} {self.path}")
            if served.password and self.headers.get("Authorization") != served.wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if served.fail > 0:
                served.fail -= 1
                self.send_error(503)
                return
            head, answer = served.backend(self, body)
            self._send(head, answer)

        def _send(self, head: list[tuple[str, str]], answer: bytes) -> None:
            status = next((int(value.split()[0]) for name, value in head if name == "Status"), 200)
            self.send_response(status)
            for name, value in head:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if served.cut > 0 and self.command == "POST":
                served.cut -= 1
                self.wfile.write(answer[: len(answer) // 2])
                self.close_connection = True
                return
            self.wfile.write(answer)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        do_GET = do_POST = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield served
    finally:
        if served.hang is not None:
            served.hang.set()
        server.shutdown()
        thread.join()
        server.server_close()
