"""How fast blocks of lines are made and framed for followers inside the process, and what that costs in memory.

Many followers of one kind share the framed bytes, so the sum of what they get may be far above what is framed. The log is
on disk and larger than its ring; every follower reads all of it.

    python scripts/bench/framing.py [--megabytes 100] [--followers 1 10 100] [--form sse|ndjson|text] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from supervisor.logs.framing import Form, frame
from supervisor.logs.log import Log

LINE = 100


async def fill(log: Log, megabytes: int) -> int:
    """Writes numbered lines through a pipe; returns how many."""
    out, out_w = os.pipe()
    err, err_w = os.pipe()
    log.capture("bench", out, err)
    os.close(err_w)
    lines = megabytes * 1_000_000 // LINE

    def write() -> None:
        for first in range(0, lines, 5000):
            count = min(5000, lines - first)
            data = b"".join(b"%012d " % n + b"x" * 86 + b"\n" for n in range(first, first + count))
            view = memoryview(data)
            while view:
                view = view[os.write(out_w, view) :]
        os.close(out_w)

    await asyncio.to_thread(write)
    await log.drained("bench")
    return lines


async def follow(log: Log, form: Form, newest: str, lines: int) -> int:
    """Reads it all; returns the bytes that a client would be sent."""
    follower, sent, seen = log.follow("oldest", form=form), 0, 0
    while follower.cursor != newest:
        batch = await follower.next(10)
        if batch is None or batch.lost is not None:
            raise SystemExit("lines are missing")
        sent += len(frame(batch, form))
        seen += len(batch)
    if seen != lines:
        raise SystemExit(f"{seen} lines of {lines}")
    return sent


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(folder: Path, megabytes: int, counts: list[int], form: Form) -> list[dict[str, float]]:
    log = Log.open("bench", folder)
    lines = await fill(log, megabytes)
    newest, found = log.newest, []
    for count in counts:
        before, begin = peak(), time.perf_counter()
        sent = sum(await asyncio.gather(*(follow(log, form, newest, lines) for _ in range(count))))
        took = time.perf_counter() - begin
        found.append(
            {
                "followers": count,
                "seconds": round(took, 3),
                "log_mb_per_s": round(megabytes * count / took),
                "sent_mb_per_s": round(sent / took / 1e6),
                "peak_grew_mb": round(peak() - before, 1),
            }
        )
    await asyncio.to_thread(log.close)
    return found


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--megabytes", type=int, default=100)
    ask.add_argument("--followers", type=int, nargs="+", default=[1, 10, 100])
    ask.add_argument("--form", type=Form, default=Form.SSE, choices=list(Form))
    ask.add_argument("--json", type=Path)
    wish = ask.parse_args()
    with tempfile.TemporaryDirectory(prefix="framing-") as name:
        found = asyncio.run(measure(Path(name) / "log", wish.megabytes, wish.followers, wish.form))
    text = json.dumps(found, indent=2)
    if wish.json:
        wish.json.write_text(text)
    print(text)
    print("".join(f"{key:>16}" for key in found[0]))
    for row in found:
        print("".join(f"{value:>16}" for value in row.values()))


if __name__ == "__main__":
    main()
