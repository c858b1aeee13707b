"""Reports of other runners: what they hold is read, whatever else they hold is refused, and no text makes a fault."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.testing import coverage, jsonreport, junit
from att.testing.errors import MalformedReport
from att.testing.models import Outcome
from att.testing.tally import Tally

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
)
NAMES = st.lists(TEXT.filter(bool), min_size=1, max_size=8, unique=True)
OUTCOMES = st.sampled_from(["passed", "failed", "error", "skipped", "xfailed"])


def of_junit(text: str) -> Tally:
    tally = Tally()
    junit.read(text.encode(), tally)
    return tally


def of_json(document: Any) -> Tally:
    tally = Tally()
    jsonreport.read(json.dumps(document).encode(), tally)
    return tally


def case(name: str, outcome: str, message: str) -> str:
    inside = {
        "passed": "",
        "failed": f"<failure message={quoteattr(message)}>{escape(message)}</failure>",
        "error": f"<error message={quoteattr(message)}/>",
        "skipped": "<skipped/>",
        "xfailed": '<skipped type="pytest.xfail" message="later"/>',
    }[outcome]
    return f'<testcase classname="a.B" name={quoteattr(name)} time="0.25">{inside}</testcase>'


@given(NAMES, st.data())
def test_each_case_of_junit_is_read_once_with_its_outcome(names: list[str], data: st.DataObject) -> None:
    outcomes = [data.draw(OUTCOMES) for _ in names]
    cases = "".join(case(n, o, "why") for n, o in zip(names, outcomes, strict=True))
    for text in (
        f"<testsuites><testsuite>{cases}</testsuite></testsuites>",
        f"<testsuite>{cases}</testsuite>",
    ):
        tally = of_junit(text)
        assert [c.outcome for c in tally.cases.values()] == outcomes
        assert [c.id for c in tally.cases.values()] == [f"a.B::{name}"[:1000] for name in names]
        assert len(tally.failures) == sum(o in ("failed", "error") for o in outcomes)
        assert tally.counts.total == len(names)


def test_a_failure_of_junit_has_its_text_and_output() -> None:
    tally = of_junit(
        '<testsuite><testcase name="t" file="t.py" line="4"><failure message="m">the trace</failure>'
        "<system-out>said</system-out><system-err>warned</system-err></testcase></testsuite>"
    )
    (failure,) = tally.failures.values()
    assert (failure.message, failure.traceback, failure.file, failure.line) == ("m", "the trace", "t.py", 4)
    assert (failure.stdout, failure.stderr) == ("said", "warned")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'
OUTSIDE = (
    '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&f;"/></testsuite>'
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        OUTSIDE,
        "",
        "<testsuite>",
        "<html/>",
        "<testsuites/>",
        "no xml",
        "<testsuite>&unknown;</testsuite>",
        "<testsuite>" * 100,
        '<?xml version="1.0" encoding="no-such"?><testsuite/>',
    ],
)
def test_a_bad_report_is_refused_under_its_own_code(text: str) -> None:
    with pytest.raises(MalformedReport):
        of_junit(text)


@given(NAMES, st.data())
def test_each_test_of_a_json_report_is_read_once(names: list[str], data: st.DataObject) -> None:
    outcomes = [data.draw(st.sampled_from(list(Outcome))) for _ in names]
    tests = [
        {"nodeid": f"t.py::{n}", "outcome": o, "lineno": 3, "call": {"duration": 0.5, "outcome": o}}
        for n, o in zip(names, outcomes, strict=True)
    ]
    tally = of_json({"tests": tests, "exitcode": 1})
    assert [c.outcome for c in tally.cases.values()] == outcomes
    assert all(c.duration_seconds == 0.5 for c in tally.cases.values())


def test_a_json_report_tells_where_it_failed_and_what_was_not_collected() -> None:
    crash = {"path": "/p/t.py", "lineno": 7, "message": "assert 0"}
    call = {"outcome": "failed", "crash": crash, "longrepr": "trace", "stdout": "said"}
    broken = {"nodeid": "bad.py", "outcome": "failed", "longrepr": "…\nSyntaxError: no"}
    tally = of_json(
        {"tests": [{"nodeid": "t.py::a", "outcome": "failed", "call": call}], "collectors": [broken]}
    )
    one, other = tally.failures.values()
    assert (one.file, one.line, one.message, one.stdout) == ("/p/t.py", 7, "assert 0", "said")
    assert (other.phase, other.message) == ("collect", "SyntaxError: no")


@pytest.mark.parametrize(
    "document", [[], {}, {"tests": 1}, {"tests": [1]}, {"tests": [{"nodeid": "a", "outcome": "odd"}]}]
)
def test_json_of_another_shape_is_refused(document: Any) -> None:
    with pytest.raises(MalformedReport):
        of_json(document)


@given(st.binary(max_size=200))
def test_no_bytes_make_a_fault(data: bytes) -> None:
    for read in (junit.read, jsonreport.read):
        with pytest.raises(MalformedReport):
            read(b"\x00" + data, Tally())
    with pytest.raises(MalformedReport):
        coverage.read(b"\x00" + data, 1.0)


@given(st.lists(st.text('{}":,evntrposid0123\\u', max_size=60), max_size=20))
def test_no_line_of_a_plugin_makes_a_fault(lines: list[str]) -> None:
    tally = Tally()
    for line in lines:
        tally.line(line)
        tally.line(
            json.dumps({"event": "report", "id": line, "when": line, "outcome": "failed", "line": line})
        )
    assert tally.counts.total == len(set(tally.cases)) == len(tally.failures)


def test_a_test_that_is_tried_again_counts_once_by_its_worst_word() -> None:
    tally = Tally()

    def told(**more: Any) -> None:
        tally.line(json.dumps({"event": "report", "id": "a", "duration": 0.1, **more}))

    told(when="setup", outcome="passed")
    told(when="call", outcome="rerun")
    told(when="setup", outcome="passed")
    told(when="call", outcome="passed")
    told(when="teardown", outcome="failed", message="no end")
    assert tally.counts.model_dump(exclude_defaults=True) == {"errors": 1, "total": 1}
    assert tally.cases["a"].duration_seconds == pytest.approx(0.5)


def test_coverage_tells_the_least_covered_first() -> None:
    def file(percent: float) -> dict[str, Any]:
        summary = {"percent_covered": percent, "num_statements": 10, "missing_lines": 5}
        return {"summary": summary, "missing_lines": [1, 2]}

    document = {"totals": {"percent_covered": 79.996}, "files": {"a.py": file(90), "b.py": file(50)}}
    found = coverage.read(json.dumps(document).encode(), 80.0)
    assert (found.percent, found.met, [f.file for f in found.files]) == (80.0, True, ["b.py", "a.py"])
