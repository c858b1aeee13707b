"""Followers over HTTP: latency of a line at 200 lines/s, and how much ten followers get of a flood, nothing lost.

    python scripts/bench/follow.py [--seconds 10] [--form ndjson|text|sse]

The app writes its own monotonic clock into each line; the reader, one process on raw sockets, takes the difference. A follower
that never reads stands beside the others in the flood: it must slow nobody and cost no memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from harness import Daemon, compiled, daemon, median, percentile, show

TICK = """
import sys, time
every = 1 / float(sys.argv[1])
due = time.monotonic()
while True:
    due += every
    time.sleep(max(0, due - time.monotonic()))
    sys.stdout.write(f"T{time.monotonic_ns():020d}E some words to make a line of an ordinary length\\n")
    sys.stdout.flush()
"""
STAMP = re.compile(rb"T(\d{20})E")


def asking(home: Daemon, project: str, form: str, cursor: str = "") -> bytes:
    """The request that a follower sends."""
    query = f"?format={form}" + (f"&cursor={cursor}" if cursor else "")
    return (
        f"GET /api/v1/projects/{project}/runtime/logs{query} HTTP/1.1\r\nHost: 127.0.0.1:{home.port}\r\n"
        f"Authorization: Bearer {home.token}\r\n\r\n"
    ).encode()


def connect(home: Daemon, project: str, form: str, cursor: str = "", receive: int = 0) -> socket.socket:
    """A follower's socket, the request sent."""
    link = socket.socket()
    if receive:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    link.connect(("127.0.0.1", home.port))
    link.sendall(asking(home, project, form, cursor))
    return link


def latency(home: Daemon, project: str, followers: int, seconds: float, form: str) -> list[float]:
    """Seconds from a line's writing to its arrival, over all followers."""
    chooser = selectors.DefaultSelector()
    for _ in range(followers):
        link = connect(home, project, form)
        link.setblocking(False)
        chooser.register(link, selectors.EVENT_READ, [b""])
    seen: list[float] = []
    warm, end = time.monotonic() + 2, time.monotonic() + 2 + seconds
    while time.monotonic() < end:
        for key, _ in chooser.select(1):
            data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
            now = time.monotonic_ns()
            if not data:
                raise RuntimeError("a follower was dropped")
            text = key.data[0] + data
            last = 0
            for found in STAMP.finditer(text):
                last = found.end()
                if time.monotonic() > warm:
                    seen.append((now - int(found[1])) / 1e9)
            key.data[0] = text[last:][-64:]
    for key in list(chooser.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    return seen


def flood(home: Daemon, tools: Path, lines: int, followers: int, form: str) -> dict[str, float]:
    """All followers read all lines of a flood; one more never reads. `lost`: lines that a follower did not get."""
    project = home.app(
        f"flood-{form}", [str(tools / "writer"), str(lines), "bulk"], 'restart = "temporary"\n'
    )
    process = psutil.Process(home.process.pid)
    (tools / "request").write_bytes(asking(home, project, form, "oldest"))
    stuck = connect(home, project, form, "oldest", receive=4096)
    end = f"{lines - 1:012d} "
    drain = [str(tools / "drain"), str(home.port), str(followers), str(tools / "request"), end]
    reader = subprocess.Popen(drain, stdout=subprocess.PIPE, text=True)
    assert reader.stdout
    reader.stdout.readline()
    before = peak = process.memory_info().rss
    used = sum(process.cpu_times()[:2])
    home.call("POST", f"/projects/{project}/runtime/start?wait=none")
    begun = time.monotonic()
    while reader.poll() is None:
        peak = max(peak, process.memory_info().rss)
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.wait(0.05)
    spent = time.monotonic() - begun
    used = sum(process.cpu_times()[:2]) - used
    stuck.close()
    if reader.returncode:
        raise RuntimeError(f"the reader ended with {reader.returncode}")
    total, *seen = map(int, reader.stdout.read().split())
    return {
        "mb_s": total / spent / 1e6,
        "mb_cpu_s": total / used / 1e6,
        "lost": sum(abs(lines - each) for each in seen),
        "grew_mb": (peak - before) / 1e6,
        "seconds": spent,
    }


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--seconds", type=float, default=10)
    parse.add_argument("--lines", type=int, default=1_000_000)
    parse.add_argument("--form", default="ndjson", choices=("ndjson", "text", "sse"))
    parse.add_argument("--forms", default="ndjson,text")
    parse.add_argument("--followers", default="1,10,100")
    given = parse.parse_args()
    rows, result = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for tool in ("writer", "drain"):
            compiled(Path(folder), tool)
        for followers in [int(n) for n in given.followers.split(",") if n]:
            with daemon() as home:
                project = home.app("tick", [sys.executable, "-c", TICK, "200"])
                home.call("POST", f"/projects/{project}/runtime/start")
                seen = latency(home, project, followers, given.seconds, given.form)
            rows.append(
                (
                    followers,
                    len(seen),
                    *(f"{1e3 * value:.2f}" for value in (median(seen), percentile(seen, 0.99), max(seen))),
                )
            )
            result[f"p50_ms_{followers}"] = round(1e3 * median(seen), 3)
            result[f"p99_ms_{followers}"] = round(1e3 * percentile(seen, 0.99), 3)
        show(
            "Latency of a followed line at 200 lines/s, milliseconds",
            rows,
            ("followers", "lines", "p50", "p99", "max"),
        )
        flows = []
        for form in given.forms.split(","):
            with daemon() as home:
                got = flood(home, Path(folder), given.lines, 10, form)
            flows.append(
                (
                    form,
                    f"{got['mb_s']:.0f}",
                    f"{got['mb_cpu_s']:.0f}",
                    f"{got['lost']:.0f}",
                    f"{got['grew_mb']:.0f}",
                    f"{got['seconds']:.2f}",
                )
            )
            result[f"flood_{form}_mb_s"] = round(got["mb_s"])
        show(
            "Ten followers (and one that never reads) on a flood, together",
            flows,
            ("form", "MB/s", "MB per CPU s", "lines lost", "RSS grew MB", "s"),
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
