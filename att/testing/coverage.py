"""The report of coverage.py (`coverage json`) as a value. Pure."""

from __future__ import annotations

import json
from typing import Any

from att.testing.errors import MalformedReport
from att.testing.models import Coverage, FileCoverage

MOST_FILES = 1000
MOST_LINES = 200  # that are missing, of one file


def read(data: bytes, threshold: float | None) -> Coverage:
    """How much was covered; the least covered files first. As many digits count as coverage.py itself compares."""
    try:
        document = json.loads(data)
        totals = document["totals"]
        percent = float(totals["percent_covered"])
        files = [_file(name, each) for name, each in document["files"].items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MalformedReport("The report of coverage cannot be read.") from None
    files.sort(key=lambda file: (file.percent, file.file))
    met = None if threshold is None else round(percent, 2) >= threshold
    return Coverage(percent=round(percent, 2), threshold=threshold, met=met, files=files[:MOST_FILES])


def _file(name: str, each: dict[str, Any]) -> FileCoverage:
    summary = each["summary"]
    return FileCoverage(
        file=name,
        percent=round(float(summary["percent_covered"]), 2),
        statements=int(summary["num_statements"]),
        missing=int(summary["missing_lines"]),
        missing_lines=[int(line) for line in each.get("missing_lines", [])[:MOST_LINES]],
    )
