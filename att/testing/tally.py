"""From what a run of tests tells, one thing at a time, to its counts, cases and failures. Pure.

One test is told in up to three phases, and again when it is repeated: it passed when its call passed and nothing around it
failed; a failure of its own wins over one of what stands around it. A test that began and was never told of again was the
one that ran when the interpreter died or the time was over. All that is kept is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from att.testing.models import BAD, Outcome, TestCase, TestCounts, TestFailure

MOST_CASES = 50_000
MOST_FAILURES = 1000
MOST_TEXT = 24 * 1024
MOST_MESSAGE = 4 * 1024
SHORT = 300
SLOWEST = 10
_COUNTED = {Outcome.ERROR: "errors"}


def _as_it_is(text: str) -> str:
    return text


class Tally:
    """Fed by `line` (from the plugin) or by `add` (from a report). `relative`: how a file is named; `hide`: takes secrets out."""

    def __init__(
        self, relative: Callable[[str], str] = _as_it_is, hide: Callable[[str], str] = _as_it_is
    ) -> None:
        self.cases: dict[str, TestCase] = {}
        self.failures: dict[str, TestFailure] = {}
        self.expected: int | None = None
        self.version = ""
        self.started = False
        self.finished: int | None = None  # the exit code that the runner itself gave
        self.internal = ""
        self.cut = False
        self.broken: list[TestFailure] = []  # files that could not be collected
        self._running: dict[str, None] = {}
        self._before: dict[str, float] = {}  # what setting up took, of tests that are not told yet
        self._outcomes: dict[str, int] = {}
        self._relative = relative
        self._hide = hide

    def line(self, text: str) -> None:
        """One line of the plugin; what is none of its lines is passed over."""
        try:
            told = json.loads(text)
        except ValueError:
            return
        if isinstance(told, dict):
            act = _ACTS.get(str(told.get("event")))
            if act is not None:
                act(self, told)

    @property
    def during(self) -> str | None:
        """The test that had begun and not ended."""
        return next(reversed(self._running), None)

    @property
    def done(self) -> int:
        return sum(self._outcomes.values())

    @property
    def counts(self) -> TestCounts:
        counted: dict[str, int] = {}
        for outcome, number in self._outcomes.items():
            name = _COUNTED.get(Outcome(outcome), outcome)
            counted[name] = number
        return TestCounts(total=sum(counted.values()), **counted)

    def slowest(self) -> list[TestCase]:
        ended = sorted(self.cases.values(), key=lambda case: -case.duration_seconds)
        return [case for case in ended[:SLOWEST] if case.duration_seconds > 0]

    def in_order(self) -> list[TestCase]:
        """Those that failed or broke first; else in the order in which they ran."""
        return sorted(self.cases.values(), key=lambda case: case.outcome not in BAD)

    def add(self, case: TestCase, failure: TestFailure | None = None) -> None:
        """Another word on a test: it replaces an earlier one that was better, and the time adds up."""
        old = self.cases.get(case.id)
        if old is not None:
            seconds = round(old.duration_seconds + case.duration_seconds, 6)
            if _RANK[case.outcome] <= _RANK[old.outcome]:
                old.duration_seconds = seconds
                return
            case.duration_seconds = seconds
            self._count(self.cases.pop(case.id).outcome, -1)
        self._count(case.outcome, 1)
        if len(self.cases) >= MOST_CASES:
            self.cut = True
            return
        self.cases[case.id] = case
        if failure is not None:
            self._keep(failure)

    def _count(self, outcome: Outcome, by: int) -> None:
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + by

    def _keep(self, failure: TestFailure) -> None:
        if failure.id not in self.failures and len(self.failures) >= MOST_FAILURES:
            self.cut = True
            return
        self.failures[failure.id] = failure

    # -- what the plugin tells

    def _start(self, told: Mapping[str, Any]) -> None:
        self.started = True
        self.version = _text(told, "version")[:40]

    def _collected(self, told: Mapping[str, Any]) -> None:
        count = told.get("count")
        if isinstance(count, int):
            self.expected = max(self.expected or 0, count)

    def _begin(self, told: Mapping[str, Any]) -> None:
        self._running[_id(told)] = None

    def _report(self, told: Mapping[str, Any]) -> None:
        name, when = _id(told), _text(told, "when")
        if when == "teardown":
            self._running.pop(name, None)
        outcome = _outcome(told, when)
        seconds = round(_number(told, "duration"), 6)
        if outcome is None:
            if name in self.cases:
                case = self.cases[name]
                case.duration_seconds = round(case.duration_seconds + seconds, 6)
            else:
                self._before[name] = self._before.get(name, 0.0) + seconds
            return
        message = self._hide(_text(told, "wasxfail") or _text(told, "message"))
        case = TestCase(
            id=name,
            outcome=outcome,
            duration_seconds=round(seconds + self._before.pop(name, 0.0), 6),
            file=self._file(told) or name.partition("::")[0] or None,
            line=_line(told),
            message="" if outcome is Outcome.PASSED else shortened(message.partition("\n")[0], SHORT),
        )
        self.add(case, self._failure(told, name, outcome, when) if outcome in BAD else None)

    def _broken(self, told: Mapping[str, Any]) -> None:
        failure = self._failure(told, _id(told), Outcome.ERROR, "collect")
        self.broken.append(failure)
        short = shortened(failure.message, SHORT)
        file, line = failure.file, failure.line
        self.add(TestCase(id=failure.id, outcome=Outcome.ERROR, file=file, line=line, message=short), failure)

    def _internal(self, told: Mapping[str, Any]) -> None:
        self.internal = self._hide(_text(told, "message"))[:MOST_MESSAGE]

    def _finish(self, told: Mapping[str, Any]) -> None:
        code = told.get("exit")
        self.finished = code if isinstance(code, int) else -1
        self._running.clear()

    def _failure(self, told: Mapping[str, Any], name: str, outcome: Outcome, when: str) -> TestFailure:
        return TestFailure(
            id=name,
            outcome=outcome,
            phase=when or "call",
            message=shortened(self._hide(_text(told, "message")), MOST_MESSAGE),
            traceback=shortened(self._hide(_text(told, "trace")), MOST_TEXT),
            file=self._file(told) or name.partition("::")[0] or None,
            line=_line(told),
            stdout=shortened(self._hide(_text(told, "out")), MOST_TEXT),
            stderr=shortened(self._hide(_text(told, "err")), MOST_TEXT),
            log=shortened(self._hide(_text(told, "log")), MOST_TEXT),
        )

    def _file(self, told: Mapping[str, Any]) -> str | None:
        file = _text(told, "file")
        return self._relative(file)[:1000] if file else None


_ACTS: dict[str, Callable[[Tally, Mapping[str, Any]], None]] = {
    "start": Tally._start,
    "collected": Tally._collected,
    "begin": Tally._begin,
    "report": Tally._report,
    "broken": Tally._broken,
    "internal": Tally._internal,
    "finish": Tally._finish,
}


def _outcome(told: Mapping[str, Any], when: str) -> Outcome | None:
    """What one phase means for the test; None when it means nothing."""
    said, expected = told.get("outcome"), "wasxfail" in told
    if said == "failed":
        return Outcome.ERROR if when in ("setup", "teardown") else Outcome.FAILED
    if said == "skipped":
        return Outcome.XFAILED if expected else Outcome.SKIPPED
    if said == "passed" and when == "call":
        return Outcome.XPASSED if expected else Outcome.PASSED
    return None


_RANK = {
    Outcome.PASSED: 0,
    Outcome.SKIPPED: 1,
    Outcome.XFAILED: 1,
    Outcome.XPASSED: 1,
    Outcome.ERROR: 2,
    Outcome.FAILED: 3,
}


def shortened(text: str, most: int) -> str:
    """The text, cut in the middle where it is too long."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if value is None:
        return ""
    return (value if isinstance(value, str) else str(value)).encode("utf-8", "replace").decode()


def _id(told: Mapping[str, Any]) -> str:
    return _text(told, "id")[:1000] or "?"


def _number(told: Mapping[str, Any], name: str) -> float:
    value = told.get(name)
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else 0.0


def _line(told: Mapping[str, Any]) -> int | None:
    value = told.get("line")
    return value if isinstance(value, int) and 0 <= value < 10**9 else None
