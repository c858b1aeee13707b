#!/usr/bin/env python3
"""Runs the tests in three processes at once, since most of them wait for other processes: `_suite.py NAME MARKERS [OPTIONS]`.

One part keeps processes (launcher, supervisor and what shows both together), one stands at the doors of real daemons, and one
is all the rest. Each writes to a file of its own; that of the rest is printed as it comes, the others afterwards. With
--report DIR a JUnit file of each part is kept there. With --again what failed is tried once more by itself (on a busy machine
a deadline may pass that is far off on a quiet one): what fails twice fails, and what passes only then is named. With --coverage
all are measured.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "processes": ("launcher", "supervisor", "chaos", "together"),
    "doors": ("contract", "conformance", "interop", "e2e", "nat"),
}
NOTHING_SELECTED = 5
WORDS = ("passed", "failed", "errors", "skipped", "deselected")


@dataclass
class Part:
    name: str
    paths: list[str]
    output: Path
    report: Path | None

    def command(self, wish: argparse.Namespace, *, again: bool = False) -> list[str]:
        run = ["-m", "coverage", "run", "-m", "pytest"] if wish.coverage else ["-m", "pytest"]
        words = [
            sys.executable,
            *run,
            "-m",
            wish.markers,
            "-o",
            f"cache_dir=.pytest_cache/{wish.name}-{self.name}",
        ]
        if self.report:
            ending = ".again.xml" if again else ".xml"
            words += [f"--junitxml={self.report / f'{wish.name}-{self.name}{ending}'}"]
        if again:
            return [*words, "--last-failed", "--last-failed-no-failures", "none", *self.paths]
        return [*words, *self.paths]

    def start(self, wish: argparse.Namespace, *, again: bool = False) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as file:
            return subprocess.Popen(
                self.command(wish, again=again), cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def text(self) -> str:
        return self.output.read_text("utf-8", "replace")


def parts(folder: Path, report: Path | None) -> list[Part]:
    """Everything below tests/ that is in no other part, and the other parts."""
    elsewhere = {name for names in PARTS.values() for name in names}
    rest = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").iterdir()
        if path.name not in elsewhere
        and ((path.is_dir() and any(path.rglob("test_*.py"))) or path.match("test_*.py"))
    )
    named = {name: [f"tests/{each}" for each in names] for name, names in PARTS.items()}
    return [Part(name, paths, folder / name, report) for name, paths in {"rooms": rest, **named}.items()]


def main() -> int:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("name")
    told.add_argument("markers")
    told.add_argument("--report", type=Path)
    told.add_argument("--again", action="store_true")
    told.add_argument("--coverage", action="store_true")
    wish = told.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        first, *others = every = parts(Path(folder), wish.report)
        started = [part.start(wish) for part in every]
        try:
            beside = " and ".join(part.name for part in others)
            print(f"-- {wish.name}: {first.name}; {beside} go on beside it and are shown afterwards")
            follow(first, started[0])
            codes = [process.wait() for process in started]
        except KeyboardInterrupt:  # they heard it as well
            for process in started:
                process.wait()
            return 130
        for part in others:
            show(f"{wish.name}: {part.name}", part.text)
        failed = [part for part, code in zip(every, codes, strict=True) if code not in (0, NOTHING_SELECTED)]
        counted = sum((counts(part.text) for part in every), Counter())
        if wish.again:
            failed = [part for part in failed if not passes_then(part, wish, counted)]
    told_counts = ", ".join(f"{counted[word]} {word}" for word in WORDS if counted[word])
    print(f"\n===== {wish.name}: {told_counts or 'nothing ran'} in {time.monotonic() - began:.2f}s =====")
    return 1 if failed else 0


def passes_then(part: Part, wish: argparse.Namespace, counted: Counter[str]) -> bool:
    """Whether what failed passes by itself; it is named then, and counted as passed."""
    before = re.findall(r"^(?:FAILED|ERROR) (\S+)", part.text, re.MULTILINE)
    first = counts(part.text)
    code = part.start(wish, again=True).wait()
    show(f"{wish.name}: {part.name}: once more, what failed", part.text)
    if code != 0 or not before:  # without a name it was no test that failed
        return False
    print("-- passed only when tried again:", *before, sep="\n")
    for word in ("failed", "errors"):
        counted["passed"] += first[word]
        counted[word] -= first[word]
    return True


def follow(part: Part, process: subprocess.Popen[bytes]) -> None:
    """Prints what a part writes, as it comes, until its end."""
    with part.output.open("rb") as file:
        while True:
            ended = process.poll() is not None
            piece = file.read()
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            if ended and not piece:
                return
            time.sleep(0.2)


def show(title: str, text: str) -> None:
    print(f"\n-- {title}", text, sep="\n", flush=True)


def counts(text: str) -> Counter[str]:
    """What pytest's last line tells; a failure when there is none."""
    found = re.findall(r"^=+ (.*) in [\d.]+s.* =+$", text, re.MULTILINE)
    if not found:
        return Counter(failed=1)
    numbers = re.findall(r"(\d+) (\w+)", found[-1])
    return Counter({"errors" if word == "error" else word: int(number) for number, word in numbers})


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
