"""MCP: `tools/call` of a trivial read on the daemon, against the SDK's own server on uvicorn with an equal tool; memory.

    python scripts/bench/mcp.py [--rounds 9] [--calls 400] [--only calls|memory]

Both sides run at the same time and are asked in turn, over one kept-alive connection, by a client of a few lines. The peer has
neither tokens nor metrics nor events; the daemon does all that it always does. Memory, after calls of both generations, is set
against a process that imports the same and does nothing, and against one that imports only what of it is not ours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
from harness import ROOT, daemon, free_port, interleave, median, percentile, show
from status import bare, usable

PEER = """
import sys
import uvicorn
from mcp.server import MCPServer
from att.health.models import AskHealth, Check, Health, Heartbeat

server = MCPServer("peer", log_level="ERROR")

@server.tool(name="att_health", description="Whether the daemon is well.")
async def att_health(ready: bool = False) -> Health:
    checks = [Check(name="store", ok=True), Check(name="disk", ok=True)]
    return Health(status="ok", release="", version="0.1.0", pid=4711, uptime_seconds=12.5, checks=checks,
                  heartbeat=Heartbeat(age_seconds=0.5, worst_lag_ms=1.5))

app = server.streamable_http_app(json_response=sys.argv[2] == "json", host="127.0.0.1")
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, timeout_keep_alive=75)
"""
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
LOADED = (
    "import att.daemon, att.mcp.server, mcp.server.streamable_http_manager, mcp.server.transport_security"
)


@dataclass
class Peer:
    """A server, and one kept-alive connection to it."""

    port: int
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def request(self, message: dict[str, Any], headers: dict[str, str]) -> bytes:
        """The bytes of one request."""
        body = json.dumps(message).encode()
        given = {
            "Host": f"127.0.0.1:{self.port}",
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Content-Length": str(len(body)),
            **headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer, of either form."""
        self._socket.sendall(request)
        head = self._until(b"\r\n\r\n").lower()
        if b"transfer-encoding: chunked" in head:
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._take(size + 2)[:-2]
            self._take(2)
            return head, body
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return head, self._take(int(length or 0))

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._more()
        found, _, self._rest = self._rest.partition(mark)
        return found

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _more(self) -> None:
        piece = self._socket.recv(1 << 16)
        if not piece:
            raise RuntimeError("the server closed the connection")
        self._rest += piece


class Row:
    """The call of one generation to one server."""

    def __init__(self, port: int, token: str, modern: bool, kind: bytes) -> None:
        self._peer = Peer(port, token)
        self._kind = kind
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        params: dict[str, Any] = {"name": "att_health", "arguments": {}}
        if modern:
            head = {
                "MCP-Protocol-Version": "2026-07-28",
                "Mcp-Method": "tools/call",
                "Mcp-Name": "att_health",
            }
            params["_meta"] = META
        else:
            head = self._session()
        self._request = self._peer.request({**message, "params": params}, head)
        self.seconds: list[float] = []

    def _session(self) -> dict[str, str]:
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "b", "version": "1"},
        }
        opening = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        head, _ = self._peer.ask(self._peer.request(opening, {}))
        session = head.partition(b"mcp-session-id:")[2].partition(b"\r\n")[0].strip().decode()
        found = {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
        self._peer.ask(self._peer.request({"jsonrpc": "2.0", "method": "notifications/initialized"}, found))
        return found

    def calls(self, count: int) -> float:
        """Milliseconds of a call, the median of these."""
        seconds = []
        for _ in range(count):
            begun = time.perf_counter()
            head, body = self._peer.ask(self._request)
            seconds.append(time.perf_counter() - begun)
        if not head.startswith(b"http/1.1 200") or b'"isError":false' not in body or self._kind not in head:
            raise RuntimeError(f"{head!r} {body!r}")
        self.seconds += seconds
        return 1e3 * median(seconds)


@contextlib.contextmanager
def peer(kind: str) -> Iterator[int]:
    """The SDK's own server; its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PEER, str(port), kind], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    )
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def calls(rounds: int, count: int) -> dict[str, float]:
    """The ratio of each row."""
    with (
        daemon(ATT_MCP_JSON="true") as ours_json,
        daemon() as ours_sse,
        peer("json") as theirs_json,
        peer("sse") as theirs_sse,
    ):
        json_kind, sse_kind = b"application/json", b"text/event-stream"
        rows: dict[str, tuple[Row, Row]] = {}
        for name, ours, theirs, modern, kind in (
            ("2025-11-25 session, JSON", ours_json, theirs_json, False, json_kind),
            ("2026-07-28, JSON", ours_json, theirs_json, True, json_kind),
            ("2025-11-25 session, SSE", ours_sse, theirs_sse, False, sse_kind),
            ("2026-07-28, SSE possible", ours_sse, theirs_sse, True, json_kind),
        ):
            rows[name] = (Row(ours.port, ours.token, modern, kind), Row(theirs, "", modern, kind))
        for pair in rows.values():
            for row in pair:
                row.calls(200)
                row.seconds.clear()
        cases = {
            f"{name} {side}": (lambda row=row: row.calls(count))
            for name, pair in rows.items()
            for side, row in zip(("daemon", "SDK"), pair, strict=True)
        }
        seen = interleave(rounds, cases)
        ratios, table = {}, []
        for name, pair in rows.items():
            ours_ms, theirs_ms = median(seen[f"{name} daemon"]), median(seen[f"{name} SDK"])
            ratios[name] = ours_ms / theirs_ms
            late = [1e3 * percentile(row.seconds, 0.99) for row in pair]
            table.append(
                (
                    name,
                    f"{ours_ms:.3f}",
                    f"{theirs_ms:.3f}",
                    f"{ratios[name]:.2f}",
                    *(f"{ms:.2f}" for ms in late),
                )
            )
    show(
        f"tools/call of a trivial read, milliseconds (medians of {rounds} rounds of {count})",
        table,
        ("", "daemon", "SDK on uvicorn", "ratio", "p99 daemon", "p99 SDK"),
    )
    return ratios


def idle() -> float:
    """RSS in MB of a process that imports all that such a daemon has imported, and waits."""
    code = f"{LOADED}\nimport sys\nprint('ready', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin and process.stdout
    process.stdout.readline()
    megabytes: float = psutil.Process(process.pid).memory_info().rss / 1e6
    process.stdin.close()
    process.wait()
    return megabytes


def memory(rounds: int) -> dict[str, float]:
    """RSS of a daemon that has answered MCP, against processes that only import."""
    names = usable(LOADED)

    def ours() -> float:
        with daemon() as home:
            for modern, kind in ((False, b"text/event-stream"), (True, b"application/json")):
                Row(home.port, home.token, modern, kind).calls(20)
            rss: float = psutil.Process(home.process.pid).memory_info().rss / 1e6
            return rss

    cases = {"daemon": ours, "the same imports": idle, "of them the libraries": lambda: bare(names)[1]}
    seen = {name: median(values) for name, values in interleave(rounds, cases).items()}
    rows = [(name, f"{mb:.1f}", f"{seen['daemon'] / mb:.2f}") for name, mb in seen.items()]
    show("Memory with MCP loaded, RSS MB, and the daemon's as a multiple of it", rows, ("", "MB", "ratio"))
    return {
        "memory": seen["daemon"] / seen["the same imports"],
        "memory_libraries": seen["daemon"] / seen["of them the libraries"],
    }


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--rounds", type=int, default=9)
    parse.add_argument("--calls", type=int, default=400)
    parse.add_argument("--only", choices=("calls", "memory"))
    given = parse.parse_args()
    told: dict[str, float] = {}
    if given.only != "memory":
        told |= calls(given.rounds, given.calls)
    if given.only != "calls":
        told |= memory(min(given.rounds, 5))
    print(json.dumps({name: round(ratio, 3) for name, ratio in told.items()}))


if __name__ == "__main__":
    main()
