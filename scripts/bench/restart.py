"""How long the app is away after a SIGKILL: from the kill to the first instruction of the new process, by its own clock.

Rounds of three ways are interleaved, so that all of them see the same machine:
  floor       posix_spawn and waitpid in a loop: what Python cannot go below
  att         the whole supervisor as the daemon runs it: keeper, runner, log; the family of the dead run is looked for
  supervisord in an environment of its own, when one is given (--supervisord DIR/bin/supervisord)
Prints the medians and their ratio to the floor. Exits with 1 when the median of `att` is above the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

LIMIT_MS = 5.0
CLOCK_C = r"""
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
int main(int n, char **words) {
    struct timespec t; char line[64];
    clock_gettime(CLOCK_MONOTONIC, &t);
    int fd = open(words[1], O_WRONLY | O_APPEND | O_CREAT, 0600);
    int length = snprintf(line, sizeof line, "%d %lld\n", getpid(), t.tv_sec * 1000000000LL + t.tv_nsec);
    if (write(fd, line, length) < 0) return 1;
    for (;;) pause();
}
"""


CLOCK_PY = dedent("""
    import os, signal, sys, time
    now = time.monotonic_ns()
    with open(sys.argv[1], "a") as notes:
        notes.write(f"{os.getpid()} {now}\\n")
    signal.pause()
""")


def clock_program(folder: Path) -> list[str]:
    """A program that writes its pid and the time of its first instruction. In C; without a compiler, Python (slower to begin)."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler:
        source = folder / "clock.c"
        source.write_text(CLOCK_C)
        subprocess.run(
            [compiler, "-O2", "-static", "-o", folder / "clock", source], check=True, capture_output=True
        )
        return [str(folder / "clock")]
    return [sys.executable, "-I", "-S", "-c", CLOCK_PY]


class Notes:
    """What the program wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self.count = 0

    def next(self, timeout: float = 10.0) -> tuple[int, int]:
        """Its pid and its clock (ns) of the next start."""
        deadline = time.monotonic() + timeout
        while True:
            lines = self.path.read_text().splitlines()
            if len(lines) > self.count:
                self.count += 1
                pid, at = lines[self.count - 1].split()
                return int(pid), int(at)
            if time.monotonic() > deadline:
                raise SystemExit(f"no new process within {timeout} s ({self.path.name})")
            time.sleep(0.0005)


def killed(pid: int, notes: Notes) -> float:
    """Milliseconds from the kill to the first instruction of the next."""
    begun = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    _, at = notes.next()
    return (at - begun) / 1e6


FLOOR = dedent("""
    import os, sys
    while True:
        pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
        os.waitpid(pid, 0)
""")

ATT = dedent("""
    import asyncio, os, sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from supervisor.local import LocalKeeper
    from supervisor.logs.log import Log
    from supervisor.runner import Runner
    from supervisor.spec import AppSpec, RestartSpec
    async def main(folder, command):
        log = Log.open("bench", folder / "log")
        keeper = LocalKeeper("bench", lambda _: log)
        await keeper.sweep()
        # Every death is answered as a first one.
        spec = AppSpec(command, Path("/"), dict(os.environ), "bench", restart=RestartSpec(reset_after=0.0, intensity=10**6))
        runner = Runner.open(spec, keeper, log, lambda event: None)
        await runner.start("ready", 10)
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(15, over.set)
        await over.wait()
        await runner.aclose(); await keeper.aclose(); log.close()
    asyncio.run(main(Path(sys.argv[2]), tuple(sys.argv[3:])))
""")


class Way:
    def __init__(
        self, name: str, folder: Path, command: list[str], start: Callable[[Path, list[str]], list[str]]
    ) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.notes = Notes(self.folder / "notes")
        self.process = subprocess.Popen(
            start(self.folder, [*command, str(self.notes.path)]), stdout=subprocess.DEVNULL
        )
        self.pid, _ = self.notes.next()
        self.figures: list[float] = []

    def round(self, kills: int, up: float) -> None:
        for _ in range(kills):
            time.sleep(up)
            self.figures.append(killed(self.pid, self.notes))
            self.pid = int(self.notes.path.read_text().splitlines()[-1].split()[0])

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def supervisord(program: str, folder: Path, command: list[str]) -> list[str]:
    config = folder / "supervisord.conf"
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\npidfile={folder}/pid\n"
        f"[program:app]\ncommand={' '.join(command)}\nautorestart=true\nstartsecs=0\n"
    )
    return [program, "-c", str(config)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--kills", type=int, default=5, help="in each round")
    parser.add_argument("--supervisord", default="", metavar="PROGRAM")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-restart-") as name:
        folder = Path(name)
        command = clock_program(folder)
        ways = [
            Way("floor", folder, command, lambda _, words: [sys.executable, "-I", "-S", "-c", FLOOR, *words]),
            Way(
                "att",
                folder,
                command,
                lambda home, words: [sys.executable, "-c", ATT, str(ROOT), str(home), *words],
            ),
        ]
        try:
            if options.supervisord:
                peer = lambda home, words: supervisord(options.supervisord, home, words)  # noqa: E731
                ways.append(Way("supervisord", folder, command, peer))
            for _ in range(options.rounds):
                for way in ways:
                    way.round(
                        options.kills if way.name != "supervisord" else 1,
                        0.1 if way.name != "supervisord" else 1.2,
                    )
        finally:
            for way in ways:
                way.end()
    medians = {way.name: statistics.median(way.figures) for way in ways}
    if options.json:
        print(json.dumps({way.name: {"median_ms": medians[way.name], "ms": way.figures} for way in ways}))
    else:
        for way in ways:
            ordered = sorted(way.figures)
            p90 = ordered[int(len(ordered) * 0.9)]
            print(
                f"{way.name:12} median {medians[way.name]:8.2f} ms   p90 {p90:8.2f}   max {ordered[-1]:8.2f}"
                f"   {medians[way.name] / medians['floor']:6.2f} x floor   ({len(ordered)} kills)"
            )
    return 0 if medians["att"] <= LIMIT_MS else 1


if __name__ == "__main__":
    raise SystemExit(main())
