"""The chaos, as a program: `python -m tests.chaos --rounds 200 --seed 7`.

Houses of `--house` rounds each: a new home, a new launcher, the app; at the end of each all is stopped, started anew, and every
line is read once more from disk. Ends with 1 at the first thing that does not hold, and prints what is needed to find out why; the
printed seed with `--from` the printed round repeats it (what processes do between two signals is theirs, of course).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.chaos.house import House
from tests.chaos.rounds import Broken, Campaign, Row, evidence

SEEDS = 1 << 16


def main() -> int:
    parse = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Rounds of trouble; see the file."
    )
    parse.add_argument("--rounds", type=int, default=8)
    parse.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2), "big") % SEEDS)
    parse.add_argument("--from", dest="first", type=int, default=0, help="the number of the first round")
    parse.add_argument("--house", type=int, default=25, help="rounds in one home")
    parse.add_argument("--no-agents", action="store_true", help="without the MCP clients")
    given = parse.parse_args()
    print(f"seed {given.seed}, rounds {given.first} to {given.first + given.rounds - 1}", flush=True)
    rows: list[Row] = []
    kept = 0
    numbers = range(given.first, given.first + given.rounds)
    for first in numbers[:: given.house]:
        with tempfile.TemporaryDirectory(prefix="att-chaos-") as folder:
            campaign = Campaign(House(Path(folder) / "h"), given.seed, not given.no_agents)
            number = first
            try:
                with campaign:
                    try:
                        for number in numbers[first - given.first :][: given.house]:
                            rows.append(campaign.round(number))
                            print(told(rows[-1]), flush=True)
                        kept += campaign.read_all()
                    except Exception:
                        print(evidence(campaign), flush=True)
                        raise
            except Broken as broken:
                print(
                    f"\nBROKEN in round {number}: {broken}\nrepeat: --seed {given.seed} --from {first}",
                    flush=True,
                )
                summary(rows, kept)
                return 1
    summary(rows, kept)
    return 0


def told(row: Row) -> str:
    return (
        f"{row.plan.number:4} {row.plan.title:28} {row.seconds:5.1f} s {row.lines:7} lines {row.connections:3} reconnects "
        f"{row.probes:5} probes, {row.cut} cut, slowest {row.slowest:5.2f} s, MCP {row.sessions} sessions "
        f"{row.notices:3} notices | {', '.join(row.done)}"
    )


def summary(rows: list[Row], kept: int) -> None:
    by: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by[row.plan.title].append(row)
    print(
        f"\n{'kind':28} rounds  seconds     lines  reconnects   probes  cut  sessions  notices  slowest  signals and restarts"
    )
    for title, some in sorted([*by.items(), ("all", rows)], key=lambda each: each[0] == "all"):
        sums = [
            sum(getattr(row, name) for row in some)
            for name in ("seconds", "lines", "connections", "probes", "cut", "sessions", "notices")
        ]
        slowest = max((row.slowest for row in some), default=0.0)
        acts = sum(1 for row in some for word in row.done if not word.startswith(("switch", "no ")))
        print(
            "{:28} {:6}  {:7.0f}  {:8}  {:10}  {:7}  {:3}  {:8}  {:7}".format(title, len(some), *sums),
            f"{slowest:7.2f}  {acts:6}",
        )
    print(
        f"{len(rows)} rounds held: no line lost or doubled, no connection refused; read once more from disk: {kept} lines"
    )


if __name__ == "__main__":
    sys.exit(main())
