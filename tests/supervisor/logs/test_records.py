"""NAT's log formats become records with level and logger; continuation lines and tracebacks belong to theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs.records import UNKNOWN, Access, Kind, access, beginning, kinds, records, strip_ansi
from supervisor.logs.values import Line

BUILT = "Shared workflow built (entry_function=None)"
NAT = f"2026-11-20 23:58:34 - INFO     - nat.runtime.session:332 - {BUILT}"
UVICORN = "2026-11-20 23:58:34 - INFO:     Uvicorn running on http://127.0.0.1:8119 (Press CTRL+C to quit)"
ACCESS = '2026-11-20 23:58:43 - INFO:     127.0.0.1:40260 - "GET /health HTTP/1.1" 200 OK'
TRACEBACK = ["Traceback (most recent call last):", '  File "x.py", line 1, in f', "    f()", "ValueError: no"]


def lines(*texts: str, stream: str = "stderr") -> list[Line]:
    return [
        Line(f"t-{n}", "2026-11-20T23:58:34.000000Z", stream, "run-1", text) for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("text", "level", "logger", "message"),
    [
        (NAT, "info", "nat.runtime.session", BUILT),
        (UVICORN, "info", None, "Uvicorn running on http://127.0.0.1:8119 (Press CTRL+C to quit)"),
        (ACCESS, "info", "uvicorn.access", '127.0.0.1:40260 - "GET /health HTTP/1.1" 200 OK'),
        ("2026-11-20 23:58:34,123 - ERROR - a.b - no", "error", "a.b", "no"),
        ("INFO:     Started server process [7]", "info", None, "Started server process [7]"),
        ("WARNING:root:careful", "warning", "root", "careful"),
        (f"\x1b[31m{NAT}\x1b[0m", "info", "nat.runtime.session", BUILT),
        ("Error: no such option", "error", None, "no such option"),
        (
            "/x/authlib/jose.py:12: AuthlibDeprecationWarning: old",
            "warning",
            "AuthlibDeprecationWarning",
            "old",
        ),
    ],
)
def test_a_beginning_is_known(text: str, level: str, logger: str | None, message: str) -> None:
    begun = beginning(text)
    assert begun is not None
    assert (begun.kind, begun.message) == (Kind(level, logger), message)


@pytest.mark.parametrize(
    "text", ["", "  indented", "2026 was a year", "INFORMATION: x", "Error", "plain: text", "D", "E:"]
)
def test_anything_else_continues_what_was_before(text: str) -> None:
    assert beginning(text) is None
    assert kinds([text], Kind("error", "a.b")) == [Kind("error", "a.b")]


def test_a_record_holds_its_continuation_lines() -> None:
    found = list(records(lines(NAT, "  more", "and more", UVICORN)))
    assert [len(record.lines) for record in found] == [3, 1]
    assert found[0].stamp == "2026-11-20 23:58:34"
    assert found[0].cursor == "t-0"


def test_a_traceback_belongs_to_the_error_that_announced_it() -> None:
    error = NAT.replace("INFO    ", "ERROR   ")
    found = list(records(lines(error, *TRACEBACK)))
    assert [(record.level, len(record.lines)) for record in found] == [("error", 5)]
    warning = NAT.replace("INFO    ", "WARNING ")
    assert [record.level for record in records(lines(warning, *TRACEBACK))] == ["warning"]


def test_a_traceback_that_nobody_announced_is_an_error_of_its_own() -> None:
    found = list(records(lines(NAT, *TRACEBACK, NAT)))
    assert [(record.level, len(record.lines)) for record in found] == [("info", 1), ("error", 4), ("info", 1)]


def test_streams_do_not_continue_each_other() -> None:
    mixed = [lines(NAT)[0], lines("printed", stream="stdout")[0], lines("  more")[0]]
    assert sorted(len(record.lines) for record in records(mixed)) == [1, 2]
    assert [kind.level for kind in kinds(["printed"], UNKNOWN)] == [None]


def test_an_access_line_is_taken_apart() -> None:
    begun = beginning(ACCESS)
    assert begun is not None
    assert access(begun.message) == Access("127.0.0.1:40260", "GET", "/health", 200)
    assert access("nothing of the kind") is None


def test_escape_sequences_are_taken_out() -> None:
    assert strip_ansi("\x1b[1;31mred\x1b[0m \x1b]0;title\x07and\x1b[?25l plain") == "red and plain"


@given(st.lists(st.text(st.characters(blacklist_characters="\n"), max_size=30), max_size=20))
def test_no_line_is_left_out_or_told_twice(texts: list[str]) -> None:
    told = [line.cursor for record in records(lines(*texts)) for line in record.lines]
    assert sorted(told) == sorted(line.cursor for line in lines(*texts))
