"""What a check of `att doctor` found, as a value. Decides nothing and does no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `what` in a sentence, and the `remedy` where there is something to do."""

    name: str
    standing: Standing
    what: str
    remedy: str = ""


def ok(name: str, what: str) -> Finding:
    return Finding(name, Standing.OK, what)


def warn(name: str, what: str, remedy: str) -> Finding:
    return Finding(name, Standing.WARN, what, remedy)


def fail(name: str, what: str, remedy: str) -> Finding:
    return Finding(name, Standing.FAIL, what, remedy)


def failed(findings: Iterable[Finding]) -> bool:
    """Whether the program leaves with 1."""
    return any(finding.standing is Standing.FAIL for finding in findings)
