"""What the benchmarks share: a daemon of their own, interleaved rounds, medians, and one way to print them.

Machines are shared and noisy: a figure is the ratio of the medians of two things that were measured in turn, in one run.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def interleave(rounds: int, cases: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each case once a round, in turn: what slows the machine for a while slows all of them."""
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            seen[name].append(case())
    return seen


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0–1) of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(title: str, rows: Sequence[Sequence[object]], head: Sequence[str]) -> None:
    """A table for people."""
    table = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    print(f"\n{title}")
    for row in table:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@dataclass
class Daemon:
    """A daemon with a home of its own, and how to talk to it."""

    process: subprocess.Popen[bytes]
    home: Path
    port: int
    ready_seconds: float

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def call(self, method: str, path: str, body: object = None, timeout: float = 60) -> Any:
        """One request on a connection of its own; the answer's JSON. RuntimeError with the problem if it is one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(
                method,
                f"/api/v1{path}",
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    def app(self, name: str, command: Sequence[str], settings: str = "") -> str:
        """Make a project whose app is `command`; the project's id."""
        folder = self.home / "projects" / name
        folder.mkdir(parents=True)
        folder.joinpath("att.toml").write_text(
            f"[runtime]\ncommand = {json.dumps(list(command))}\n{settings}"
        )
        return str(self.call("POST", "/projects", {"name": name, "path": str(folder)})["id"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(port: int) -> bool:
    """Whether a daemon answers on this port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/api/v1/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def daemon(**variables: str) -> Iterator[Daemon]:
    """A standalone daemon in a temporary home; ended, and the home removed, at the end."""
    home = Path(tempfile.mkdtemp(prefix="att-bench-"))
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ATT_")} | variables
    environment |= {"ATT_HOME": str(home), "ATT_LISTEN": f"127.0.0.1:{port}", "PYTHONPATH": str(ROOT)}
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "att.daemon"],
        env=environment,
        stdout=(home / "daemon.out").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        while not healthy(port):
            if process.poll() is not None or time.monotonic() > begun + 60:
                raise RuntimeError((home / "daemon.out").read_text())
            time.sleep(0.002)
        yield Daemon(process, home, port, time.monotonic() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


def compiled(folder: Path, name: str) -> str:
    """The path of `scripts/bench/NAME.c` built into this folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("no C compiler: what is written in Python is too slow to load anything")
    built = folder / name
    subprocess.run(
        [compiler, "-O2", "-D_GNU_SOURCE", "-o", str(built), str(ROOT / f"scripts/bench/{name}.c")],
        check=True,
    )
    return str(built)
