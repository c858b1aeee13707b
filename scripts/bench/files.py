"""Files of a large project: searching 50,000 files against `git grep`, and the first page of their list.

    python scripts/bench/files.py [--files 50000] [--rounds 7]

Over HTTP from a real daemon; `git grep` runs on the same tree, tracked, in the same rounds, with its own threads. All files are
in the page cache for both.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Daemon, daemon, interleave, median, show

FILES = "/projects/large/files"
ROWS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "text, rare": ({"query": "handle_4711_"}, ["-F", "-e", "handle_4711_"]),
    "text, nowhere": ({"query": "no such words"}, ["-F", "-e", "no such words"]),
    "text, any case": ({"query": "HANDLE_4711_", "ignore_case": True}, ["-i", "-F", "-e", "HANDLE_4711_"]),
    "expression": (
        {"query": r"def handle_47\d1_\w+\(", "regex": True},
        ["-P", "-e", r"def handle_47\d1_\w+\("],
    ),
    "expression without a fixed text": (
        {"query": r"\b[0-9]{9,}\b", "regex": True},
        ["-P", "-e", r"\b[0-9]{9,}\b"],
    ),
}


def tree(folder: Path, count: int) -> None:
    """Modules of about 2 KB, a hundred to a directory, tracked by git."""
    body = "".join(f"    value_{n} = compute(argument, {n})  # some words about it\n" for n in range(30))
    for number in range(count):
        path = (
            folder / f"package_{number // 1000:02}" / f"part_{number // 100 % 10}" / f"module_{number:05}.py"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"def handle_{number}_it(argument):\n{body}    return argument\n")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=env)


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def grep(folder: Path, words: list[str]) -> None:
    command = ["git", "--no-pager", "grep", "-n", "-I", *words]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)


def searching(home: Daemon, folder: Path, rounds: int) -> None:
    rows = []
    for name, (query, words) in ROWS.items():
        cases: dict[str, Callable[[], float]] = {
            "ours": lambda query=query: timed(lambda: home.call("POST", f"{FILES}/search", query)),
            "git": lambda words=words: timed(lambda: grep(folder, words)),
        }
        taken = interleave(rounds, cases)
        ours, git = median(taken["ours"]), median(taken["git"])
        rows.append((name, f"{ours / git:.2f} x", f"{ours * 1000:.0f} ms", f"{git * 1000:.0f} ms", "2 x"))
    show("search, against git grep", rows, ("what", "ratio", "ours", "git grep", "aim"))


def listing(home: Daemon, count: int, rounds: int) -> None:
    flat = home.home / "projects" / "flat"
    flat.mkdir()
    for number in range(count):
        (flat / f"file_{number}").touch()
    home.call("POST", "/projects", {"name": "flat", "path": str(flat)})
    pages = {
        "200 of a tree": f"{FILES}",
        "5000 of a tree": f"{FILES}?limit=5000",
        "200 of one directory": "/projects/flat/files",
    }
    rows = []
    for name, path in pages.items():
        taken = [timed(lambda path=path: home.call("GET", path)) for _ in range(max(rounds, 5))]  # type: ignore[misc]
        rows.append((name, f"{median(taken) * 1000:.1f} ms", f"{max(taken) * 1000:.1f} ms", "200 ms"))
    show("list, the first page", rows, ("what", "median", "worst", "aim"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with daemon() as home:
        folder = home.home / "projects" / "large"
        tree(folder, options.files)
        home.call("POST", "/projects", {"name": "large", "path": str(folder)})
        searching(home, folder, options.rounds)
        listing(home, options.files, options.rounds)


if __name__ == "__main__":
    main()
