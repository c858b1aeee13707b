"""A small MCP server over HTTP for tests of the bridge: it does what it is told, restarts and broken connections included."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from att.cli.client import Where
from tests.support import free_port

TOKEN = "att_test-token-of-the-owner"


class Double:
    """What it heard, and what it will do with the next requests."""

    def __init__(self) -> None:
        self.port = free_port()
        self.heard: list[tuple[str, dict[str, str], Any]] = []  # HTTP method, headers, message
        self.paths: set[str] = set()
        self.sessions: set[str] = set()
        self.token = TOKEN
        self.breaks: list[str] = []  # methods of MCP whose next request is done and not answered
        self.held = threading.Event()  # for the tool `hold`
        self.ended: list[str] = []  # tools whose client went away
        self.changed = threading.Condition()
        self.streams: list[Any] = []
        self.unavailable = 0  # how many requests get 503
        self._count = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def where(self) -> Where:
        return Where("127.0.0.1", self.port, tls=False, token=self.token)

    def start(self) -> None:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Every connection ends, and nothing is remembered: as a daemon that is started again."""
        self.sessions.clear()
        self.held.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        with self.changed:
            streams, self.streams = self.streams, []
        for stream in streams:
            stream.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """What is held now is answered; what comes after is held anew."""
        held, self.held = self.held, threading.Event()
        held.set()

    def restart(self) -> None:
        self.stop()
        self.held = threading.Event()
        self.start()

    def new_session(self) -> str:
        self._count += 1
        name = f"s{self._count}"
        self.sessions.add(name)
        return name

    def methods(self) -> list[str]:
        return [message["method"] for _, _, message in self.heard if message and "method" in message]

    def say(self, message: dict[str, Any]) -> None:
        """Something that the server says by itself."""
        data = f"event: message\ndata: {json.dumps(message)}\n\n".encode()
        with self.changed:
            for stream in self.streams:
                stream.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, double: Double) -> None:
        self.double = double
        super().__init__(("127.0.0.1", double.port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def double(self) -> Double:
        return self.server.double

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._heard(json.loads(body))

    def do_GET(self) -> None:
        self._heard(None)

    def do_DELETE(self) -> None:
        self._heard(None)

    def _heard(self, message: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.double.changed:
            self.double.paths.add(self.path)
            self.double.heard.append((self.command, headers, message))
            self.double.changed.notify_all()
        if self.double.unavailable:
            self.double.unavailable -= 1
            return self._json(503, {"detail": "It is being started.", "hint": "Wait.", "code": "starting"})
        if headers.get("authorization") != f"Bearer {self.double.token}":
            return self._json(401, {"detail": "No token.", "hint": "Give one.", "code": "unauthorized"})
        if message is None or message.get("method") != "initialize":
            session, alone = headers.get("mcp-session-id"), headers.get("mcp-method")
            if not alone and session not in self.double.sessions:
                return self._json(
                    404, {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "gone"}}
                )
        if message is None:
            return self._stream() if self.command == "GET" else self._json(200, {})
        if message.get("method") in self.double.breaks:
            self.double.breaks.remove(message["method"])
            return self._cut()
        if "id" not in message or "method" not in message:
            return self._json(202, None)
        return self._request(message)

    def _request(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params", {})
        if method == "initialize":
            told = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": True}}}
            return self._result(message, told, **{"Mcp-Session-Id": self.double.new_session()})
        if method == "tools/list":
            reads = {"name": "look", "annotations": {"readOnlyHint": True}}
            return self._result(message, {"tools": [reads, {"name": "do"}]})
        if method == "subscriptions/listen":
            return self._subscribed(message)
        if method == "tools/call" and params["name"] == "progress":
            return self._progress(message)
        if method == "tools/call" and params["name"] == "hold":
            return self._hold(message)
        return self._result(message, {"asked": params})

    def _result(self, message: dict[str, Any], result: dict[str, Any], **headers: str) -> None:
        self._json(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, **headers)

    def _json(self, status: int, told: object, **headers: str) -> None:
        body = b"" if told is None else json.dumps(told, indent=1).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, message: dict[str, Any]) -> None:
        data = f"event: message\r\nid: 1\r\ndata: {json.dumps(message)}\r\n\r\n".encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _progress(self, message: dict[str, Any]) -> None:
        self._begin()
        self.wfile.write(b"7\r\n: ping\n\r\n")
        for done in (1, 2):
            params = {"progressToken": 1, "progress": done}
            self._event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        if "progress" in self.double.breaks:
            self.double.breaks.remove("progress")
            self._cut()
            return
        self._event({"jsonrpc": "2.0", "id": message["id"], "result": {"done": 2}})
        self.wfile.write(b"0\r\n\r\n")

    def _subscribed(self, message: dict[str, Any]) -> None:
        """Takes it, and ends it in an orderly way when told to; the next is kept."""
        held = self.double.held
        meta = {"io.modelcontextprotocol/subscriptionId": message["id"]}
        params = {"notifications": message["params"]["notifications"], "_meta": meta}
        self._begin()
        self._event(
            {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}
        )
        self._kept(message, held)

    def _hold(self, message: dict[str, Any]) -> None:
        """Answers when it is told to; notes when the client went away before."""
        held = self.double.held
        self._begin()
        self._kept(message, held)

    def _kept(self, message: dict[str, Any], held: threading.Event) -> None:
        self.connection.settimeout(0.01)
        while not held.is_set():
            try:
                if not self.connection.recv(1):
                    with self.double.changed:
                        self.double.ended.append(message["method"])
                        self.double.changed.notify_all()
                    self.close_connection = True
                    return
            except TimeoutError:
                continue
        self.connection.settimeout(None)
        self._event({"jsonrpc": "2.0", "id": message["id"], "result": {"held": True}})
        self.wfile.write(b"0\r\n\r\n")

    def _stream(self) -> None:
        self._begin()
        self.wfile.flush()
        with self.double.changed:
            self.double.streams.append(self.connection)
            self.double.changed.notify_all()
        self.rfile.read(1)  # until either side ends it
        with self.double.changed:
            if self.connection in self.double.streams:
                self.double.streams.remove(self.connection)
        self.close_connection = True

    def _cut(self) -> None:
        """The request was read; there will be no (more) answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def doubled() -> Iterator[Double]:
    double = Double()
    double.start()
    try:
        yield double
    finally:
        double.stop()
