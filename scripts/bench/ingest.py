"""How fast a log takes in what a process writes, as a ratio to `cat >/dev/null`.

Measured from the first write until the last line can be read by cursor, is kept on disk, and all lines are counted; rounds of
each candidate take turns, so that the machine's mood is the same for all. `--supervisord` adds the peer of that name, in an
environment of its own that is made under a temporary folder.

    python scripts/bench/ingest.py [--rounds 7] [--bulk 5000000] [--line 2000000] [--supervisord] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from supervisor.logs.log import Log

HERE = Path(__file__).resolve().parent
LINE = 100
Candidate = Callable[[list[str], int], float]

PYTHON_WRITER = """
import os, sys
lines, many = int(sys.argv[1]), 655 if sys.argv[2] == "bulk" else 1
for first in range(0, lines, many):
    data = b"".join(b"%012d " % n + b"x" * 86 + b"\\n" for n in range(first, min(lines, first + many)))
    os.write(1, data)
"""


def writer(folder: Path) -> list[str]:
    """The command that writes: compiled where there is a compiler."""
    cc = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if cc is None:
        return [sys.executable, "-c", PYTHON_WRITER]
    binary = folder / "writer"
    subprocess.run([cc, "-O2", "-o", str(binary), str(HERE / "writer.c")], check=True)
    return [str(binary)]


def size_of(folder: Path) -> int:
    """Bytes of the log that are in files."""
    return sum(path.stat().st_size for path in folder.glob("*.log"))


def cat(command: list[str], lines: int) -> float:
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    sink = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.close()
    process.wait()
    sink.wait()
    return time.perf_counter() - begin


class Ours:
    """A log in the process itself. It is opened, with its ring in memory, before the clock starts, as a daemon's is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._round = 0

    def __call__(self, command: list[str], lines: int) -> float:
        return asyncio.run(self._measure(command, lines))

    async def _measure(self, command: list[str], lines: int) -> float:
        self._round += 1
        folder = self._folder / f"ours-{self._round}"
        log = Log.open("bench", folder)
        await self._run(log, ["true"], "warm")
        start = log.end
        begin = time.perf_counter()
        await self._run(log, command, "bench")
        took = time.perf_counter() - begin
        await self._check(log, folder, lines, start)
        await asyncio.to_thread(log.close)
        shutil.rmtree(folder)
        return took

    @staticmethod
    async def _run(log: Log, command: list[str], run: str) -> None:
        out, out_w = os.pipe()
        err, err_w = os.pipe()
        log.capture(run, out, err)
        process = subprocess.Popen(command, stdout=out_w, stderr=err_w)  # noqa: ASYNC220
        os.close(out_w)
        os.close(err_w)
        await log.drained(run)
        process.wait()

    @staticmethod
    async def _check(log: Log, folder: Path, lines: int, start: int) -> None:
        kept = size_of(folder)
        last = (await log.page(limit=1)).lines[0].text
        whole = kept == log.end == start + lines * LINE + 2  # two marks of the ends of the streams
        if not whole or log.lines != lines or int(last[:12]) != lines - 1:
            raise SystemExit(
                f"not all was taken in: {kept=}, {log.lines} lines of {lines}, last {last[:20]!r}"
            )


@contextmanager
def supervisord(folder: Path) -> Iterator[Candidate]:
    """The peer, installed from PyPI into an environment of its own (its package has the name of ours)."""
    home = folder / "peer"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    install = (
        [uv, "pip", "install", "-q", "-p", str(home)] if uv else [str(home / "bin/pip"), "install", "-q"]
    )
    subprocess.run([*install, "supervisor", "setuptools<80"], check=True)

    def measure(command: list[str], lines: int) -> float:
        log, go = folder / "peer.log", folder / "peer.go"
        log.unlink(missing_ok=True)
        go.unlink(missing_ok=True)
        waiting = f"until [ -e {go} ]; do sleep 0.01; done; date +%s%N >{go}.at; exec {' '.join(command)}"
        conf = folder / "peer.conf"
        conf.write_text(
            textwrap.dedent(f"""\
            [supervisord]
            nodaemon=true
            logfile=/dev/null
            logfile_maxbytes=0
            pidfile={folder}/peer.pid
            [program:w]
            command=/bin/sh -c '{waiting.replace("%", "%%")}'
            stdout_logfile={log}
            stdout_logfile_maxbytes=0
            stderr_logfile=NONE
            autorestart=false
            startsecs=0
            """)
        )
        daemon = subprocess.Popen(
            [str(home / "bin/supervisord"), "-c", str(conf)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 120
            while not log.exists():
                time.sleep(0.01)
            go.touch()
            while log.stat().st_size < lines * LINE:
                if time.monotonic() > deadline:
                    raise SystemExit("the peer did not take all lines in")
                time.sleep(0.001)
            return (time.time_ns() - int(Path(f"{go}.at").read_text())) / 1e9
        finally:
            daemon.terminate()
            daemon.wait()
            log.unlink(missing_ok=True)

    yield measure


def compare(
    candidates: dict[str, Candidate], command: list[str], lines: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Medians of each, and the ratio of the medians to that of `cat`."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for measure in candidates.values():
        measure(command, lines)  # one round for nothing: files in the cache, pages in the pool
    for _ in range(rounds):
        for name, measure in candidates.items():
            times[name].append(measure(command, lines))
    floor = statistics.median(times["cat"])
    return {
        name: {
            "median_s": round(statistics.median(taken), 4),
            "ratio": round(statistics.median(taken) / floor, 2),
            "best_s": round(min(taken), 4),
            "worst_s": round(max(taken), 4),
            "mb_per_s": round(lines * LINE / statistics.median(taken) / 1e6),
        }
        for name, taken in times.items()
    }


def table(result: dict[str, dict[str, dict[str, float]]]) -> str:
    rows = [f"{'mode':6}{'candidate':14}{'median s':>10}{'x cat':>8}{'best':>9}{'worst':>9}{'MB/s':>8}"]
    rows += [
        f"{mode:6}{name:14}{r['median_s']:>10.3f}{r['ratio']:>8.2f}{r['best_s']:>9.3f}{r['worst_s']:>9.3f}{r['mb_per_s']:>8.0f}"
        for mode, found in result.items()
        for name, r in found.items()
    ]
    return "\n".join(rows)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--rounds", type=int, default=7)
    ask.add_argument("--bulk", type=int, default=5_000_000)
    ask.add_argument("--line", type=int, default=2_000_000)
    ask.add_argument("--supervisord", action="store_true")
    ask.add_argument("--json", type=Path)
    wish = ask.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        folder = Path(name)
        command = writer(folder)
        candidates: dict[str, Candidate] = {"cat": cat, "ours": Ours(folder)}
        result: dict[str, dict[str, dict[str, float]]] = {}

        def run() -> None:
            for mode, lines in (("bulk", wish.bulk), ("line", wish.line)):
                result[mode] = compare(candidates, [*command, str(lines), mode], lines, wish.rounds)

        if wish.supervisord:
            with supervisord(folder) as peer:
                candidates["supervisord"] = peer
                run()
        else:
            run()
    text = json.dumps(result, indent=2)
    if wish.json:
        wish.json.write_text(text)
    print(text)
    print(table(result))


if __name__ == "__main__":
    main()
