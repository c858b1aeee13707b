"""What clients feel of a deploy: requests without a pause over N swaps of a small ASGI app behind a held socket.

Prints how many were answered and failed, the time of the middle request, of the slowest in a thousand, and of the slowest, with
and without swaps going on, and how long one deploy (build, trial, swap, drain) took. Exits with 1 when a request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.att.deploy.house import open_bench  # noqa: E402  the path comes first


class Clients:
    def __init__(self, port: int, count: int) -> None:
        self.port = port
        self.took: list[float] = []
        self.failures: list[str] = []
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n % 2 == 0,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self, kept: bool) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self._enough.is_set():
            began = time.perf_counter()
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
                self.took.append(time.perf_counter() - began)
            except (OSError, HTTPException) as fault:
                self.failures.append(repr(fault))
                connection.close()
            if not kept:
                connection.close()

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def told(self) -> str:
        took = sorted(self.took)
        worst = took[int(len(took) * 0.999)]
        middle = statistics.median(took)
        return (
            f"{len(took):>7} answered, {len(self.failures)} failed, p50 {middle * 1000:.2f} ms, "
            f"p99.9 {worst * 1000:.1f} ms, max {took[-1] * 1000:.0f} ms"
        )


async def measure(swaps: int, clients: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder) / "home") as bench:
            await bench.project()
            await bench.out("0")
            port = (await bench.house.runtime.status("demo")).port or 0
            quiet = Clients(port, clients)
            await asyncio.sleep(5)
            await asyncio.to_thread(quiet.stop)
            busy = Clients(port, clients)
            took = []
            for number in range(1, swaps + 1):
                began = time.perf_counter()
                run = await bench.out(str(number))
                if run.state != "succeeded":
                    raise SystemExit(str(run.problem))
                took.append(time.perf_counter() - began)
            await asyncio.to_thread(busy.stop)
            print(*sorted(set(busy.failures)), sep="\n", end="\n" if busy.failures else "")
            print(f"without  {quiet.told()}")
            print(f"{swaps} swaps {busy.told()}")
            print(f"a deploy takes {statistics.median(took):.2f} s ({min(took):.2f} to {max(took):.2f})")
            return not busy.failures


def main() -> int:
    parser = argparse.ArgumentParser(description="What clients feel of a deploy.")
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--clients", type=int, default=4)
    given = parser.parse_args()
    return 0 if asyncio.run(measure(given.swaps, given.clients)) else 1


if __name__ == "__main__":
    sys.exit(main())
