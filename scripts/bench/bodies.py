"""Large bodies: what /health feels while ten requests with bodies of fifteen megabytes come in, over HTTP and over MCP.

    python scripts/bench/bodies.py [--requests 10] [--megabytes 15] [--only NAME]

The requests are sent at once by a process of their own. Each kind of body is one row: files to write, as text and as base64; what
is refused, since it is made of nothing but small values; answers as large.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import ROOT, Daemon, daemon, percentile, show
from mcp import META

SENDER = """
import collections, http.client, sys, threading
port, token, method, path, body, count, *more = sys.argv[1:]
told = []
def send():
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=600)
    heads = {"Authorization": f"Bearer {token}", "Content-Type": "application/json",
             "Accept": "application/json, text/event-stream", **dict(each.split("=", 1) for each in more)}
    try:
        connection.request(method, path, open(body, "rb") if body else None, heads)
        answer = connection.getresponse()
        answer.read()
        told.append(answer.status)
    except OSError as error:
        told.append(type(error).__name__)
threads = [threading.Thread(target=send) for _ in range(int(count))]
[each.start() for each in threads]
[each.join() for each in threads]
print(*(f"{number} x {status}" for status, number in collections.Counter(told).items()))
"""


def bodies(size: int) -> Iterator[tuple[str, str, bytes]]:
    """Name, where it goes, the body."""
    text = (ROOT / "att" / "catalogue.py").read_text()
    text *= size // len(text)
    packed = base64.b64encode(os.urandom(size * 3 // 4)).decode()
    write = "/api/v1/projects/{project}/files/large.txt"
    call = "/mcp"
    yield "text", write, json.dumps({"content": text}).encode()
    yield "escaped", write, json.dumps({"content": "äß" * (size // 12)}).encode()
    yield "base64", write, json.dumps({"content": packed, "encoding": "base64"}).encode()
    yield "lists", write, b'{"content":[' + b"[]," * (size // 3) + b"0]}"
    yield "numbers", write, b'{"content":[' + b"0," * (size // 2) + b"0]}"
    yield "mcp text", call, tool({"path": "large.txt", "content": text})
    yield "mcp base64", call, tool({"path": "large.txt", "content": packed, "encoding": "base64"})
    yield (
        "mcp lists",
        call,
        tool({"path": "large.txt", "content": []}).replace(b"[]", b"[" + b"[]," * (size // 3) + b"0]"),
    )
    yield "read", write + "?limit=16777216", b""


def tool(arguments: dict[str, Any]) -> bytes:
    params = {"name": "att_code_write", "arguments": {"project_id": "PROJECT", **arguments}, "_meta": META}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


def felt(
    here: Daemon, project: str, where: str, body: bytes, requests: int
) -> tuple[list[float], str, float]:
    """Times of /health while the requests are answered, what these were answered, and how long they took."""
    file = here.home / "body.json"
    file.write_bytes(body.replace(b"PROJECT", project.encode(), 1))
    method = "GET" if not body else "POST" if where == "/mcp" else "PUT"
    more = ["Mcp-Method=tools/call", "Mcp-Name=att_code_write", "MCP-Protocol-Version=2026-07-28"]
    words = [
        str(here.port),
        here.token,
        method,
        where.format(project=project),
        str(file) if body else "",
        str(requests),
    ]
    begun = time.perf_counter()
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER, *words, *(more if where == "/mcp" else ())],
        stdout=subprocess.PIPE,
        text=True,
    )
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=600)
    times = []
    while sender.poll() is None:
        asked = time.perf_counter()
        connection.request("GET", "/api/v1/health")
        connection.getresponse().read()
        times.append(time.perf_counter() - asked)
        time.sleep(0.005)
    assert sender.stdout is not None
    return times, sender.stdout.read().strip(), time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--megabytes", type=float, default=15)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    rows = []
    with daemon() as here:
        project = here.app("large", ["/bin/true"])
        Path(here.home / "projects" / "large" / "large.txt").write_text("words\n" * 2_500_000)
        felt(here, project, "/mcp", tool({"path": "small.txt", "content": ""}), 1)  # loads what MCP needs
        for name, where, body in bodies(int(options.megabytes * (1 << 20))):
            if options.only in name:
                times, told, seconds = felt(here, project, where, body, options.requests)
                figures = [f"{1000 * percentile(times, share):.0f}" for share in (0.5, 0.99, 1)]
                rows.append((name, *figures, len(times), f"{seconds:.1f}", told))
    show(
        "/health, in ms, while they come in",
        rows,
        ("body", "median", "p99", "worst", "asked", "seconds", "answered"),
    )


if __name__ == "__main__":
    main()
