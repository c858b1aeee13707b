"""JSON as pytest-json-report writes it, to cases. Pure.

Each test has `nodeid`, `outcome` and up to three phases (`setup`, `call`, `teardown`) with a `crash` (path, lineno, message),
a `longrepr` and what was captured; files that could not be collected stand under `collectors`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from att.testing.errors import MalformedReport
from att.testing.models import BAD, Outcome, TestCase, TestFailure
from att.testing.tally import MOST_MESSAGE, MOST_TEXT, SHORT, Tally, shortened

_PHASES = ("setup", "call", "teardown")


def read(data: bytes, tally: Tally, hide: Callable[[str], str] = str) -> None:
    """Every test of the report into the tally."""
    try:
        document = json.loads(data)
    except json.JSONDecodeError as fault:
        raise MalformedReport(f"The report, line {fault.lineno}: {fault.msg}.", line=fault.lineno) from None
    except (ValueError, RecursionError):
        raise MalformedReport("The report is no JSON text in UTF-8.") from None
    tests = document.get("tests") if isinstance(document, dict) else None
    if not isinstance(tests, list):
        raise MalformedReport("The report has no list `tests`.")
    for place, test in enumerate(tests):
        if not isinstance(test, dict) or not isinstance(test.get("nodeid"), str):
            raise MalformedReport(f"Test {place} of the report has no `nodeid`.")
        _test(test, tally, hide)
    collectors = document.get("collectors")
    for each in collectors if isinstance(collectors, list) else []:
        if isinstance(each, dict) and each.get("outcome") == "failed":
            _collector(each, tally, hide)
    code = document.get("exitcode")
    tally.finished = code if isinstance(code, int) else None


def _test(test: Mapping[str, Any], tally: Tally, hide: Callable[[str], str]) -> None:
    said = str(test.get("outcome"))
    try:
        outcome = Outcome(said)
    except ValueError:
        raise MalformedReport(f"{test['nodeid'][:200]} has the unknown outcome {said[:40]!r}.") from None
    phases = {name: test[name] for name in _PHASES if isinstance(test.get(name), dict)}
    bad = next((name for name, phase in phases.items() if phase.get("outcome") == "failed"), "call")
    phase = phases.get(bad, {})
    crash = phase.get("crash") if isinstance(phase.get("crash"), dict) else {}
    message = hide(_text(crash.get("message")) or _text(phase.get("longrepr")).strip().rpartition("\n")[2])
    line = test.get("lineno")
    one = TestCase(
        id=test["nodeid"][:1000],
        outcome=outcome,
        duration_seconds=round(sum(_number(each.get("duration")) for each in phases.values()), 6),
        file=test["nodeid"].partition("::")[0],
        line=line if isinstance(line, int) and line >= 0 else None,
        message="" if outcome is Outcome.PASSED else shortened(message, SHORT),
    )
    if outcome not in BAD:
        tally.add(one)
        return
    at = crash.get("lineno")
    failure = TestFailure(
        id=one.id,
        outcome=outcome,
        phase=bad,
        message=shortened(message, MOST_MESSAGE),
        traceback=shortened(hide(_text(phase.get("longrepr"))), MOST_TEXT),
        file=_text(crash.get("path")) or one.file,
        line=at if isinstance(at, int) and at >= 0 else one.line,
        stdout=shortened(hide(_text(phase.get("stdout"))), MOST_TEXT),
        stderr=shortened(hide(_text(phase.get("stderr"))), MOST_TEXT),
    )
    tally.add(one, failure)


def _collector(each: Mapping[str, Any], tally: Tally, hide: Callable[[str], str]) -> None:
    name, why = _text(each.get("nodeid"))[:1000] or "?", hide(_text(each.get("longrepr")))
    message = why.strip().rpartition("\n")[2]
    failure = TestFailure(
        id=name,
        outcome=Outcome.ERROR,
        phase="collect",
        message=shortened(message, MOST_MESSAGE),
        traceback=shortened(why, MOST_TEXT),
        file=name.partition("::")[0],
    )
    tally.broken.append(failure)
    short = shortened(message, SHORT)
    tally.add(TestCase(id=name, outcome=Outcome.ERROR, file=failure.file, message=short), failure)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else 0.0
