"""JUnit XML to cases. Pure.

Read by expat itself, with every declaration of a document type refused: so there are no entities to expand and nothing to
fetch. Depth, number and length are bounded. pytest's own habits (`type="pytest.xfail"`) and those of other writers (one
`testsuite` at the top, nested suites, `file` and `line` attributes) are understood.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.parsers import expat

from att.testing.errors import MalformedReport
from att.testing.models import BAD, Outcome, TestCase, TestFailure
from att.testing.tally import MOST_MESSAGE, MOST_TEXT, SHORT, Tally, shortened

DEEPEST = 64
MOST_HELD = 4 * MOST_TEXT  # of one text, while it is read
_OUTCOMES = {"failure": Outcome.FAILED, "error": Outcome.ERROR, "skipped": Outcome.SKIPPED}
_TEXTS = {*_OUTCOMES, "system-out", "system-err"}


class _Reader:
    """Holds one `testcase` at a time."""

    def __init__(self, tally: Tally, hide: Callable[[str], str]) -> None:
        self._tally = tally
        self._hide = hide
        self._path: list[str] = []
        self._case: dict[str, str] = {}
        self._texts: dict[str, list[str]] = {}
        self._outcome = Outcome.PASSED
        self._message = ""
        self.suites = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name not in ("testsuites", "testsuite"):
            raise MalformedReport(f"The report begins with <{name[:100]}>, not with <testsuite>.")
        self._path.append(name)
        if len(self._path) > DEEPEST:
            raise MalformedReport("The report is nested too deeply.")
        if name == "testsuite":
            self.suites += 1
        elif name == "testcase":
            self._case, self._texts = dict(attributes), {}
            self._outcome, self._message = Outcome.PASSED, ""
        elif name in _OUTCOMES and self._case:
            self._judge(name, attributes)

    def _judge(self, name: str, attributes: dict[str, str]) -> None:
        found = _OUTCOMES[name]
        if name == "skipped" and attributes.get("type") == "pytest.xfail":
            found = Outcome.XFAILED
        if self._outcome not in BAD:
            self._outcome = found
            self._message = attributes.get("message") or attributes.get("type") or ""

    def text(self, data: str) -> None:
        if self._case and self._path[-1] in _TEXTS:
            held = self._texts.setdefault(self._path[-1], [])
            if sum(map(len, held)) < MOST_HELD:
                held.append(data)

    def end(self, name: str) -> None:
        self._path.pop()
        if name == "testcase" and self._case:
            self._finish()
            self._case = {}

    def _finish(self) -> None:
        case = self._case
        name, group = case.get("name", "?"), case.get("classname", "")
        told = {key: self._hide("".join(texts).strip()) for key, texts in self._texts.items()}
        why = next((told[key] for key in _OUTCOMES if told.get(key)), "")
        message = self._hide(self._message) or why.partition("\n")[0]
        file = case.get("file") or None
        identity = f"{group}::{name}" if group else name
        one = TestCase(
            id=identity[:1000],
            outcome=self._outcome,
            duration_seconds=_seconds(case.get("time")),
            file=file,
            line=_whole(case.get("line")),
            message=shortened(message, SHORT) if self._outcome is not Outcome.PASSED else "",
        )
        failure = TestFailure(
            id=one.id,
            outcome=one.outcome,
            message=shortened(message, MOST_MESSAGE),
            traceback=shortened(why, MOST_TEXT),
            file=file,
            line=one.line,
            stdout=shortened(told.get("system-out", ""), MOST_TEXT),
            stderr=shortened(told.get("system-err", ""), MOST_TEXT),
        )
        self._tally.add(one, failure if one.outcome in BAD else None)


def read(data: bytes, tally: Tally, hide: Callable[[str], str] = str) -> None:
    """Every test case of the report into the tally; `MalformedReport` tells the line."""
    reader = _Reader(tally, hide)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as fault:
        said = expat.ErrorString(fault.code)
        raise MalformedReport(f"The report, line {fault.lineno}: {said}.", line=fault.lineno) from None
    except MalformedReport as fault:
        fault.extra.setdefault("line", parser.CurrentLineNumber)
        raise
    except (ValueError, LookupError) as fault:  # an encoding that nobody knows
        raise MalformedReport(f"The report cannot be read: {fault}.") from None
    if not reader.suites:
        raise MalformedReport("The report has no <testsuite>.")


def _refuse(*_: object) -> None:
    raise MalformedReport("The report declares a document type, which is refused.")


def _seconds(text: str | None) -> float:
    try:
        found = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return found if 0 <= found < 1e9 else 0.0


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
