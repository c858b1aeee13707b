"""The official conformance suite for MCP servers, run against a URL; what it found, by scenario."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".cache" / "node"
REVISIONS = ("2025-11-25", "2026-07-28")

_LINE = re.compile(r"^[✓✗] ([\w-]+): (\d+) passed, (\d+) failed", re.MULTILINE)
_FREE = re.compile(r"^ +[✓✗] ([\w-]+) \([\w-]+\)", re.MULTILINE)


def program(path: str) -> list[str]:
    """The command line of a program that `scripts/_node.sh` installed; the test is skipped when it could not."""
    found = NODE / "node_modules" / path
    if not (NODE / "installed").exists() or not found.exists():
        why = NODE / "missing"
        pytest.skip(why.read_text().strip() if why.exists() else "scripts/_node.sh has not been run")
    return [str(NODE / "node"), str(found)]


def at_home(home: Path) -> dict[str, str]:
    """An environment for such a program, which keeps its files in a home of its own."""
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
    return {**kept, "HOME": str(home), "NO_COLOR": "1"}


@dataclass(frozen=True)
class Found:
    """The checks of each scenario, (passed, failed); which are not required; and what was said of each failed check."""

    code: int
    scenarios: Mapping[str, tuple[int, int]]
    free: frozenset[str]
    failures: Mapping[str, list[str]]
    output: str

    @property
    def required(self) -> dict[str, tuple[int, int]]:
        return {name: counts for name, counts in self.scenarios.items() if name not in self.free}

    @property
    def failed(self) -> dict[str, list[str]]:
        """What failed of what is required, with its reasons."""
        return {
            name: self.failures.get(name) or ["no check was run"]
            for name, (passed, failed) in self.required.items()
            if failed or not passed
        }


def run(url: str, folder: Path, *asked: str) -> Found:
    """Run what is asked for (`--requirements REVISION`, `--scenario NAME`)."""
    out = folder / "results"
    done = subprocess.run(
        [
            *program("@modelcontextprotocol/conformance/dist/index.js"),
            *("server", "--url", url, "--output-dir", str(out), *asked),
        ],
        env=at_home(folder / "home"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=55,
    )
    said = done.stdout + done.stderr
    return Found(
        done.returncode,
        {name: (int(passed), int(failed)) for name, passed, failed in _LINE.findall(said)},
        frozenset(_FREE.findall(said)),
        _failures(out),
        said,
    )


def _failures(out: Path) -> dict[str, list[str]]:
    """The failed checks by scenario, from the files that the suite leaves."""
    found: dict[str, list[str]] = {}
    for file in sorted(out.rglob("checks.json")):
        named = re.fullmatch(r"server-(.+?)-\d{4}-\d\d-\d\dT[\dZ-]+", file.parent.name)
        checks = json.loads(file.read_text("utf-8"))
        wrong = [f"{c['id']}: {c.get('errorMessage', '')}" for c in checks if c["status"] == "FAILURE"]
        if wrong:
            found[named[1] if named else file.parent.name] = wrong
    return found
