"""The daemon at rest and under load: status calls while the app floods its log, idle CPU, memory, time to ready.

    python scripts/bench/status.py [--rounds 7] [--calls 1500]

Memory and time to ready are set against a bare process that imports the same libraries and does nothing, in the same run.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from harness import ROOT, Daemon, compiled, daemon, interleave, median, percentile, show

BARE = "import sys, time\nfor name in sys.argv[1].split(','):\n    __import__(name)\nprint('ready', flush=True)\nsys.stdin.read()"


def calls(home: Daemon, path: str, count: int) -> list[float]:
    """Seconds of each of `count` calls over one kept-alive connection."""
    connection = http.client.HTTPConnection("127.0.0.1", home.port, timeout=10)
    head = {"Authorization": f"Bearer {home.token}"}
    seconds = []
    for _ in range(count):
        begun = time.perf_counter()
        connection.request("GET", path, headers=head)
        answer = connection.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - begun)
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
    connection.close()
    return seconds


def usable(statement: str = "import att.daemon") -> list[str]:
    """The third-party and standard packages that this loads, those that a process can import by themselves."""
    code = (
        f"import sys\n{statement}\n"
        "names = {n for n in sys.modules if n.split('.')[0] not in ('att', 'supervisor', 'launcher', '__main__', '__mp_main__')}\n"
        "print(','.join(sorted(names)))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    kept = [name for name in listed.split(",") if name and not name.startswith("_")]
    tried = "\n".join(
        [
            "import sys",
            "for name in sys.argv[1].split(','):",
            "    try: __import__(name)",
            "    except Exception: continue",
            "    print(name)",
        ]
    )
    return subprocess.run(
        [sys.executable, "-c", tried, ",".join(kept)], capture_output=True, text=True, check=True
    ).stdout.split()


def bare(names: list[str]) -> tuple[float, float]:
    """(seconds to ready, RSS in MB) of a process that only imports."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", BARE, ",".join(names)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout and process.stdin
    process.stdout.readline()
    seconds = time.monotonic() - begun
    megabytes = psutil.Process(process.pid).memory_info().rss / 1e6
    process.stdin.close()
    process.wait()
    return seconds, megabytes


def start_and_memory(rounds: int) -> tuple[float, float]:
    """Time to ready and RSS, each against a process that imports the same libraries."""
    names = usable()
    bare(names)
    seconds: dict[str, list[float]] = {"daemon": [], "bare": []}
    megabytes: dict[str, list[float]] = {"daemon": [], "bare": []}

    def ours() -> float:
        with daemon() as home:
            megabytes["daemon"].append(psutil.Process(home.process.pid).memory_info().rss / 1e6)
            seconds["daemon"].append(home.ready_seconds)
        return 0

    def theirs() -> float:
        ready, rss = bare(names)
        seconds["bare"].append(ready)
        megabytes["bare"].append(rss)
        return 0

    interleave(rounds, {"daemon": ours, "bare": theirs})
    start = median(seconds["daemon"]) / median(seconds["bare"])
    memory = median(megabytes["daemon"]) / median(megabytes["bare"])
    show(
        "Start and memory, against a process that imports the same libraries (medians)",
        [
            ("daemon", f"{median(seconds['daemon']):.3f}", f"{median(megabytes['daemon']):.1f}"),
            ("bare imports", f"{median(seconds['bare']):.3f}", f"{median(megabytes['bare']):.1f}"),
            ("ratio", f"{start:.2f}", f"{memory:.2f}"),
        ],
        ("", "ready s", "RSS MB"),
    )
    return start, memory


def idle_cpu(home: Daemon) -> float:
    """Per cent of one core, over 20 seconds."""
    process = psutil.Process(home.process.pid)
    time.sleep(3)
    before, begun = process.cpu_times(), time.monotonic()
    time.sleep(20)
    after, spent = process.cpu_times(), time.monotonic() - begun
    return 100 * (after.user + after.system - before.user - before.system) / spent


def status_calls(count: int) -> tuple[float, list[float]]:
    """Idle CPU with an app that is still, and the status calls while one floods."""
    with tempfile.TemporaryDirectory() as folder, daemon() as home:
        quiet = home.app("quiet", [sys.executable, "-c", "import signal; signal.pause()"])
        home.call("POST", f"/projects/{quiet}/runtime/start")
        idle = idle_cpu(home)
        path = f"/api/v1/projects/{quiet}/runtime/status"
        calls(home, path, 100)
        resting = calls(home, path, count)
        flood = home.app("flood", [compiled(Path(folder), "writer"), "2000000000", "line"])
        home.call("POST", f"/projects/{flood}/runtime/start")
        path = f"/api/v1/projects/{flood}/runtime/status"
        calls(home, path, 100)
        loaded = calls(home, path, count)
        health = calls(home, "/api/v1/health", count)
        home.call("POST", f"/projects/{flood}/runtime/stop")
    rows = (("at rest", resting), ("app floods", loaded), ("health, app floods", health))
    show(
        "Status call over one kept-alive connection, milliseconds",
        [
            (label, *(f"{1e3 * value:.2f}" for value in (median(each), percentile(each, 0.99), max(each))))
            for label, each in rows
        ],
        ("", "p50", "p99", "max"),
    )
    print(f"\nidle CPU with an app running: {idle:.2f} %")
    return idle, loaded


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--rounds", type=int, default=7)
    parse.add_argument("--calls", type=int, default=1500)
    given = parse.parse_args()
    start, memory = start_and_memory(given.rounds)
    idle, loaded = status_calls(given.calls)
    figures = {
        "ready_ratio": round(start, 3),
        "rss_ratio": round(memory, 3),
        "idle_cpu_percent": round(idle, 3),
        "status_flood_p50_ms": round(1e3 * median(loaded), 3),
        "status_flood_p99_ms": round(1e3 * percentile(loaded, 0.99), 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
