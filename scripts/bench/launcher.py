"""The launcher: its size and idle CPU, the daemon back after SIGKILL, requests during updates, ingest through its pipes.

    python scripts/bench/launcher.py [--only size,back,update,ingest] [--rounds 7] [--updates 5] [--streams 100]

The daemon's return is a ratio to its own cold start in a home of the same kind, ingest one to `cat >/dev/null`; both in turns, in
one run. An update goes to a release that is good: short requests come at a fixed pace, whether or not the last one was answered, so
whatever makes them wait shows in all that come meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from harness import ROOT, free_port, healthy, interleave, median, percentile, show
from ingest import LINE, cat, size_of, writer

sys.path.insert(0, str(ROOT))

from tests.chaos.house import House
from tests.chaos.prober import Prober

USUAL = {"probation": 0.5}  # all else as it is by default
PATIENCE = 60.0
EVERY = 0.005  # 200 short requests a second


@contextlib.contextmanager
def launched() -> Iterator[House]:
    """A launcher with a daemon, in a home that goes away."""
    with tempfile.TemporaryDirectory(prefix="att-bench-") as folder:
        house = House(Path(folder) / "h", USUAL)
        try:
            house.start()
            yield house
        finally:
            house.end()


def app(house: House, name: str, command: list[str], settings: str = "") -> str:
    folder = house.home / "projects" / name
    folder.mkdir()
    (folder / "att.toml").write_text(f"[runtime]\ncommand = {json.dumps(command)}\n{settings}")
    return str(house.ask("POST", "/projects", {"name": name, "path": str(folder)}).body["id"])


def until(check: Callable[[], object], every: float = 0.005) -> None:
    end = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > end:
            raise SystemExit(f"not within {PATIENCE} s: {check}")
        time.sleep(every)


def memory(pid: int) -> tuple[float, float]:
    """RSS and PSS in MB (of 10^6 bytes)."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        words = line.split()
        found[words[0]] = int(words[1]) * 1024 / 1e6
    return found["Rss:"], found["Pss:"]


def busy(pid: int) -> float:
    """Seconds on a processor so far, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def size(seconds: float) -> dict[str, float]:
    with launched() as house:
        quiet = app(house, "quiet", [sys.executable, "-c", "import signal; signal.pause()"])
        house.ask("POST", f"/projects/{quiet}/runtime/start")
        time.sleep(2)
        rss, pss = memory(house.pid)
        before, begun = busy(house.pid), time.monotonic()
        time.sleep(seconds)
        idle = 100 * (busy(house.pid) - before) / (time.monotonic() - begun)
    show(
        "The launcher with a daemon and an app below it, at rest",
        [(f"{rss:.1f}", f"{pss:.1f}", f"{idle:.3f}")],
        ("RSS MB", "PSS MB", "CPU %"),
    )
    return {"rss_mb": round(rss, 2), "pss_mb": round(pss, 2), "idle_cpu_percent": round(idle, 4)}


def cold(home: Path) -> float:
    """Seconds from the start of a daemon, without a launcher, in a home that is not new, to its first answer."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ATT_")}
    environment |= {"ATT_HOME": str(home), "ATT_LISTEN": f"127.0.0.1:{port}", "PYTHONPATH": str(ROOT)}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "att.daemon"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: healthy(port), 0.001)
        return time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()


def back(house: House) -> float:
    """Seconds from SIGKILL to the daemon to the first answer of the next."""
    killed = house.lives().daemon
    assert killed is not None
    begun = time.perf_counter()
    os.kill(killed, signal.SIGKILL)

    def answered() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return house.ask("GET", "/health").status == 200
        return False

    until(answered, 0.001)
    seconds = time.perf_counter() - begun
    until(lambda: house.lives().daemon not in (None, killed))
    time.sleep(2 * USUAL["probation"])  # so that the back-off begins anew
    return seconds


def come_back(rounds: int) -> dict[str, float]:
    with launched() as house, tempfile.TemporaryDirectory(prefix="att-bench-") as other:
        quiet = app(house, "quiet", [sys.executable, "-c", "import signal; signal.pause()"])
        house.ask("POST", f"/projects/{quiet}/runtime/start")
        pid = house.ask("GET", f"/projects/{quiet}/runtime/status").body["pid"]
        cold(Path(other))  # it is new once
        time.sleep(1)
        seen = interleave(rounds, {"cold": lambda: cold(Path(other)), "back": lambda: back(house)})
        kept = house.ask("GET", f"/projects/{quiet}/runtime/status").body["pid"] == pid
    ratio = median(seen["back"]) / median(seen["cold"])
    rows = [(name, *(f"{1e3 * x:.0f}" for x in (median(v), min(v), max(v)))) for name, v in seen.items()]
    show("The daemon answers, ms", [*rows, ("ratio", f"{ratio:.2f}", "", "")], ("", "p50", "best", "worst"))
    print(f"  the app {'is the same process as before' if kept else 'DID NOT SURVIVE'} after {rounds} kills")
    return {"back_ratio": round(ratio, 3), "cold_ms": round(1e3 * median(seen["cold"]))}


class Stream(threading.Thread):
    """One who follows the log for ever, or asks by long polls; comes back by the cursor when the answer ends."""

    def __init__(self, house: House, project: str, poll: bool) -> None:
        super().__init__(daemon=True)
        self.ends = self.broken = self.refused = 0
        self._house, self._poll = house, poll
        self._path = f"/api/v1/projects/{project}/runtime/logs?cursor=newest"
        self._path += "&wait=30" if poll else "&format=ndjson"
        self.over = False

    def run(self) -> None:
        while not self.over:
            link = http.client.HTTPConnection("127.0.0.1", self._house.port, timeout=PATIENCE)
            try:
                link.request("GET", self._path, headers={"Authorization": f"Bearer {self._house.token()}"})
                answer = link.getresponse()
                while answer.read1(1 << 16):
                    pass
                self.ends += 1
            except ConnectionRefusedError:
                self.refused += 1
            except (OSError, http.client.HTTPException):
                self.broken += not self.over
            finally:
                link.close()


def update(house: House, name: str) -> tuple[Prober, float, float]:
    """Switch to a new good release while short requests come; when it was asked and when it was done."""
    house.add_release(name)
    prober = Prober(house.port, EVERY)
    prober.start()
    time.sleep(0.5)
    asked = time.monotonic()
    answer = house.ask("POST", f"/releases/{name}/switch", {})
    if answer.status != 202:
        raise SystemExit(f"the switch was refused: {answer}")
    until(lambda: house.record()["current"] == name and house.state(name) == "good", 0.02)
    done = time.monotonic()
    prober.end()
    return prober, asked, done


def updates(count: int, streams: int) -> dict[str, float]:
    rows, result = [], {}
    for label, followers in (("nobody else", 0), (f"{streams} streams and a long poll", streams)):
        waits: list[float] = []
        failed = asked = 0
        took, words = [], []
        with launched() as house:
            quiet = app(house, "quiet", [sys.executable, "-c", "import signal; signal.pause()"])
            house.ask("POST", f"/projects/{quiet}/runtime/start")
            others = (
                [Stream(house, quiet, poll=n == followers) for n in range(followers + 1)] if followers else []
            )
            for other in others:
                other.start()
            time.sleep(2 if others else 0.5)
            for number in range(count):
                prober, begun, done = update(house, f"r{number}")
                waits += [wait for at, wait in prober.waits if begun <= at <= done]
                failed += prober.refused + prober.cut + prober.late + prober.unwell
                asked += prober.asked
                words += prober.words
                took.append(done - begun)
            for other in others:
                other.over = True
            broken = sum(other.broken + other.refused for other in others)
        figures = (f"{1e3 * x:.0f}" for x in (median(waits), percentile(waits, 0.99), max(waits)))
        rows.append((label, count, asked, failed, *figures, broken, f"{median(took):.1f}"))
        result[f"p99_ms_{followers}"] = round(1e3 * percentile(waits, 0.99), 1)
        result[f"failed_{followers}"] = failed
        for word in words[:5]:
            print("  ", word)
    head = ("beside", "updates", "requests", "failed", "p50 ms", "p99", "max", "streams broken", "s each")
    show(f"Short requests, {1 / EVERY:.0f}/s, during updates to good releases", rows, head)
    return result


class Through:
    """An app below the launcher: from its first write to its last line read by cursor and all of it on disk.

    Each time a new project, as ingest.py has a new log: what is measured is not how fast the disk takes the round before.
    """

    def __init__(self, house: House, folder: Path) -> None:
        self._house, self._gate, self._round = house, folder / "gate", 0

    def __call__(self, command: list[str], lines: int) -> float:
        house, gate = self._house, self._gate
        gate.unlink(missing_ok=True)
        os.mkfifo(gate)
        waiting = ["/bin/sh", "-c", f'read x <"{gate}"; exec {" ".join(command)}']
        self._round += 1
        project = app(house, f"flood-{self._round}", waiting, 'restart = "temporary"\n')
        path, last = f"/projects/{project}/runtime/logs?limit=1", f"{lines - 1:012d}"
        logs = house.home / "logs" / project
        started = house.ask("POST", f"/projects/{project}/runtime/start?wait=none")
        if started.status != 200:
            raise SystemExit(f"not started: {started}")
        with gate.open("wb"):  # the shell that waits at the other end goes on
            begun = time.perf_counter()
        until(lambda: size_of(logs) >= lines * LINE, 0.001)  # asking the daemon would slow it
        until(lambda: house.ask("GET", path).body["lines"][-1]["text"].startswith(last), 0.001)
        seconds = time.perf_counter() - begun
        status = f"/projects/{project}/runtime/status"
        until(lambda: house.ask("GET", status).body["state"] in ("stopped", "failed"))
        house.ask("DELETE", f"/projects/{project}")
        return seconds


def through(rounds: int, bulk: int, line: int) -> dict[str, float]:
    rows, result = [], {}
    with tempfile.TemporaryDirectory(prefix="att-bench-") as name, launched() as house:
        tool = writer(Path(name))
        ours = Through(house, Path(name))
        before = memory(house.pid)
        for mode, lines in (("bulk", bulk), ("line", line)):
            command = [*tool, str(lines), mode]
            ours(command, lines)
            both: dict[str, Callable[[], float]] = {"cat": partial(cat, command, lines)}
            seen = interleave(rounds, both | {"ours": partial(ours, command, lines)})
            ratio = median(seen["ours"]) / median(seen["cat"])
            rate = lines * LINE / median(seen["ours"]) / 1e6
            rows.append(
                (mode, lines, *(f"{median(v):.3f}" for v in seen.values()), f"{ratio:.2f}", f"{rate:.0f}")
            )
            result[f"{mode}_ratio"] = round(ratio, 3)
        after = memory(house.pid)
    show("Ingest through the launcher", rows, ("mode", "lines", "cat s", "ours s", "x cat", "MB/s"))
    print(
        f"  launcher RSS {before[0]:.1f} MB before, {after[0]:.1f} MB after; PSS {before[1]:.1f}, {after[1]:.1f}"
    )
    return result | {"rss_before_mb": round(before[0], 2), "rss_after_mb": round(after[0], 2)}


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--only", default="size,back,update,ingest")
    parse.add_argument("--rounds", type=int, default=7)
    parse.add_argument("--updates", type=int, default=5)
    parse.add_argument("--streams", type=int, default=100)
    parse.add_argument("--seconds", type=float, default=20, help="of rest, for idle CPU")
    parse.add_argument("--bulk", type=int, default=5_000_000)
    parse.add_argument("--line", type=int, default=2_000_000)
    given = parse.parse_args()
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "size": lambda: size(given.seconds),
        "back": lambda: come_back(given.rounds),
        "update": lambda: updates(given.updates, given.streams),
        "ingest": lambda: through(given.rounds, given.bulk, given.line),
    }
    result: dict[str, float] = {}
    for name in given.only.split(","):
        result |= parts[name]()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
