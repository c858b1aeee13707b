#!/usr/bin/env python3
"""Runs the tests in several processes at once, since most of them wait for other processes: `_suite.py NAME MARKERS [OPTIONS]`.

They share the test files: each takes the next one when it is done with one, the longest first. What they do is told line by line
as it comes, what failed and the summary of each at the end. With --report DIR a JUnit file of each is kept there. With --again
what failed is tried once more by itself (on a busy machine a deadline may pass that is far off on a quiet one): what fails
twice fails, and what passes only then is named. With --coverage all are measured.
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
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST = (  # those that take a minute or more, and those of a few long tests; the order of the others matters little
    "contract/fuzz/test_openapi.py",
    "contract/parity/test_parity.py",
    "together/test_lives.py",
    "contract/fuzz/test_mcp.py",
    "launcher/test_launcher.py",
    "chaos/test_chaos.py",
    "launcher/test_replace.py",
    "together/test_releases.py",
    "contract/test_faults_of_the_home.py",
    "contract/test_workflow.py",
    "launcher/test_releases.py",
    "launcher/test_bad_input.py",
    "contract/test_faults.py",
    "contract/test_deploy_kill.py",
    "contract/test_kill.py",
    "e2e/test_release.py",
    "nat/test_serve.py",
    "interop/test_sdk_client.py",
    "launcher/test_switch.py",
    "launcher/test_macos.py",
    "att/deploy/test_ends.py",
    "att/deploy/test_swap.py",
    "att/mcp/test_daemon.py",
)
WORKERS = 3
NOTHING_SELECTED = 5
WORDS = ("passed", "failed", "errors", "skipped")
SUMMING_UP = re.compile(r"^=+ (?!test session starts)\S.* =+$")


@dataclass
class Worker:
    """One process. `read`: bytes of its output that were looked at while it ran; `summing`: it has come to its end."""

    number: int
    folder: Path
    report: Path | None
    read: int = 0
    summing: bool = False
    untold: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] = field(init=False)

    def command(self, wish: argparse.Namespace, *, again: bool = False) -> list[str]:
        run = ["-m", "coverage", "run", "-m", "pytest"] if wish.coverage else ["-m", "pytest"]
        words = [sys.executable, *run, "-m", wish.markers, "-o", "console_output_style=classic"]
        words += ["-o", f"cache_dir={self.folder / f'cache-{self.number}'}"]
        if self.report:
            ending = ".again.xml" if again else ".xml"
            words += [f"--junitxml={self.report / f'{wish.name}-{self.number}{ending}'}"]
        if again:
            return [*words, "--last-failed", "--last-failed-no-failures", "none", *files()]
        return [*words, "-p", "scripts._claims", f"--claims={self.folder}", f"--rootdir={ROOT}", "tests"]

    def start(self, wish: argparse.Namespace, *, again: bool = False) -> Worker:
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                self.command(wish, again=again), cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
            )
        return self

    @property
    def output(self) -> Path:
        return self.folder / f"output-{self.number}"

    @property
    def text(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def tell(self) -> bool:
        """Tells which files it has done since, in whole lines, up to its summary; whether it goes on."""
        ended = self.process.poll() is not None
        with self.output.open("rb") as file:
            file.seek(self.read)
            for line in file:
                said = line.decode("utf-8", "replace")
                self.summing = self.summing or SUMMING_UP.match(said) is not None
                if self.summing or not said.endswith("\n"):
                    break
                self.read += len(line)
                if said.startswith("tests/"):
                    print(said, end="", flush=True)
                elif said.strip():
                    self.untold.append(said)
        return not ended

    @property
    def rest(self) -> str:
        """What was not told yet."""
        return "".join(self.untold) + self.output.read_bytes()[self.read :].decode("utf-8", "replace")


def files() -> list[str]:
    """All test files in the order in which they are taken."""
    longest = [f"tests/{name}" for name in LONGEST]
    rest = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
    missing = set(longest) - set(rest)
    if missing:
        sys.exit(f"LONGEST names files that are not there: {', '.join(sorted(missing))}")
    return [*longest, *(path for path in rest if path not in longest)]


def main() -> int:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("name")
    told.add_argument("markers")
    told.add_argument("--report", type=Path)
    told.add_argument("--again", action="store_true")
    told.add_argument("--coverage", action="store_true")
    told.add_argument("--workers", type=int, default=WORKERS)
    wish = told.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "files").write_text("\n".join(files()), "utf-8")
        print(f"-- {wish.name}: {wish.workers} processes share the files", flush=True)
        workers = [Worker(number, folder, wish.report).start(wish) for number in range(1, wish.workers + 1)]
        try:
            while sum(worker.tell() for worker in workers):
                time.sleep(0.2)
        except KeyboardInterrupt:  # they heard it as well
            for worker in workers:
                worker.process.wait()
            return 130
        for worker in workers:
            show(f"{wish.name}: process {worker.number}", worker.rest)
        failed = [worker for worker in workers if worker.process.returncode not in (0, NOTHING_SELECTED)]
        counted = sum((counts(worker.text) for worker in workers), Counter())
        if wish.again:
            failed = [worker for worker in failed if not passes_then(worker, wish, counted)]
    told_counts = ", ".join(f"{counted[word]} {word}" for word in WORDS if counted[word])
    print(f"\n===== {wish.name}: {told_counts or 'nothing ran'} in {time.monotonic() - began:.2f}s =====")
    return 1 if failed else 0


def passes_then(worker: Worker, wish: argparse.Namespace, counted: Counter[str]) -> bool:
    """Whether what failed passes by itself; it is named then, and counted as passed."""
    before = re.findall(r"^(?:FAILED|ERROR) (\S+)", worker.text, re.MULTILINE)
    first = counts(worker.text)
    code = worker.start(wish, again=True).process.wait()
    show(f"{wish.name}: process {worker.number}: once more, what failed", worker.text)
    if code != 0 or not before:  # without a name it was no test that failed
        return False
    print("-- passed only when tried again:", *before, sep="\n")
    for word in ("failed", "errors"):
        counted["passed"] += first[word]
        counted[word] -= first[word]
    return True


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
