"""Answers for people: forms, units, and nothing that a terminal would obey."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.cli import render


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(answer: Any, *, terminal: bool = False) -> str:
    out = Terminal() if terminal else io.StringIO()
    render.Screen(out).show(answer)
    return out.getvalue()


def test_a_page_is_a_table_and_tells_that_there_is_more() -> None:
    page = {"things": [{"id": "a", "rss_bytes": 2048, "note": None}], "next_cursor": "c2"}
    assert shown(page) == "id  rss\na   2.0 KiB\nThere are more: --cursor c2\n"


def test_a_page_in_which_nothing_stands_says_so_whatever_else_it_tells() -> None:
    assert shown({"things": [], "next_cursor": None}) == "There are no things.\n"
    page = {"last_errors": [], "next_cursor": "c2", "newest_cursor": "c2", "complete": True}
    assert shown(page).startswith("There are no last errors.\nnext cursor")
    assert "There are no" not in shown({**page, "last_errors": [{"type": "KeyError"}]})


def test_a_table_on_a_terminal_has_colours() -> None:
    text = shown({"things": [{"id": "a", "state": "running"}], "next_cursor": None}, terminal=True)
    assert "\x1b[32mrunning" in text


def test_lists_inside_a_thing_are_tables_below_it() -> None:
    told = shown({"name": "x", "runs": [{"pid": 1, "state": "running"}], "empty": [], "nothing": None})
    assert told == "name  x\nruns:\npid  state\n1    running\n"


def test_a_cell_is_one_line_and_not_an_endless_one() -> None:
    page = {"things": [{"id": "a", "text": "one\ntwo"}, {"id": "b", "text": "x" * 200}], "next_cursor": None}
    assert shown(page).splitlines() == [
        "id  text",
        "a   one …",
        f"b   {'x' * 160} …",
        "What ends with … is longer: --json tells all of it.",
    ]
    page = {"things": [{"id": "a", "text": "one\n"}, {"id": "b", "text": "two …"}], "next_cursor": None}
    assert shown(page) == "id  text\na   one\nb   two …\n"


def test_a_long_thing_inside_a_thing_is_shown_field_by_field() -> None:
    told = shown(
        {
            "branch": "main",
            "counts": {"failed": 0},
            "commit": {"id": "a" * 80, "parents": [], "message": "one\ntwo"},
        }
    )
    assert (
        told
        == f'branch  main\ncounts  {{"failed": 0}}\ncommit:\n  id       {"a" * 80}\n  message  one\n           two\n'
    )


def test_texts_of_several_lines_inside_a_thing_are_shown_whole() -> None:
    told = shown(
        {
            "name": "x",
            "failures": [{"id": 1, "trace": "a\n  b", "log": ""}, {"id": 2, "trace": "c", "log": None}],
        }
    )
    assert told == "name  x\nfailures:\n  id     1\n  trace  a\n           b\n\n  id     2\n  trace  c\n"


def test_a_piece_of_a_text_is_that_text() -> None:
    piece = {"run": "1", "text": "one\ntw", "next_cursor": "6", "complete": False, "lost": None}
    assert shown(piece) == "one\ntw\nThere is more: --cursor 6\n"
    assert shown({**piece, "text": "o", "complete": True}) == "o\n"
    assert shown({**piece, "text": "", "complete": True}) == ""
    out = io.StringIO()
    for text, complete in (("one\ntw", False), ("o\nthr", False), ("ee", True)):
        render.Screen(out).event({**piece, "text": text, "complete": complete})
    assert out.getvalue() == "one\ntwo\nthree\n"
    assert shown({**piece, "text": "\x1b[2Jbad\n", "complete": True}, terminal=True) == "bad\n"


def test_lines_of_a_log_are_themselves_and_what_is_lost_is_said() -> None:
    page = {
        "lines": [
            {"cursor": "1", "text": "one", "continued": False},
            {"cursor": "2", "text": "half", "continued": True},
            {"cursor": "3", "text": "way", "continued": False},
        ],
        "next_cursor": "3",
        "oldest_cursor": "0",
        "lost": {"bytes": 4096, "lines": None},
    }
    assert shown(page) == "--- some lines lost (4.0 KiB) ---\none\nhalfway\n"


@pytest.mark.parametrize(
    ("given_text", "left"),
    [
        ("plain\ttext", "plain\ttext"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;ZXZpbA==\x1b\\after", "after"),
        ("\x1b[2J\x1b[Hafter", "after"),
        ("\x1bcafter", "after"),
        ("a\x08\x08b\rc", "abc"),
        ("\x9b2Jafter", "2Jafter"),
        ("end\x1b", "end"),
    ],
)
def test_control_sequences_are_taken_out(given_text: str, left: str) -> None:
    assert render.harmless(given_text) == left


@given(st.text(st.sampled_from("\x1b[]0;31mHJ2\x07\\ab\x9b\r\x08 \n\t"), max_size=30))
def test_nothing_but_colours_is_left_of_any_control_sequence(text: str) -> None:
    import re

    left = re.sub(r"\x1b\[[0-9;:]*m", "", render.harmless(text))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", left)


def test_a_log_line_on_a_terminal_cannot_do_harm_and_has_its_level_as_colour() -> None:
    out = Terminal()
    screen = render.Screen(out)
    screen.line({"text": "\x1b[2Jbad", "level": "error"})
    screen.line({"text": "\x1b[31mopen"})
    assert out.getvalue() == "\x1b[31mbad\x1b[0m\n\x1b[31mopen\x1b[0m\n"


def test_objects_of_a_stream() -> None:
    out = io.StringIO()
    screen = render.Screen(out)
    screen.event({"cursor": "1", "text": "line"})
    screen.event({"lost": {"bytes": 10, "lines": 2}, "cursor": "2"})
    screen.event({"state": {"state": "running", "pid": 5}})
    screen.event(
        {"id": 1, "event_type": "runtime.started", "project_id": "x", "payload": {"a": 1}, "timestamp": "?"}
    )
    screen.event({"type": "progress", "line": "step"})
    assert out.getvalue().splitlines() == [
        "line",
        "--- 2 lines lost (10 B) ---",
        '?  runtime.started  x  {"a": 1}',
        "type=progress  line=step",
    ]
    terminal = Terminal()
    render.Screen(terminal).event({"state": {"state": "running", "pid": 5, "reason": ""}})
    assert terminal.getvalue() == "\x1b[2m--- running (pid 5) ---\x1b[0m\n"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("x", None, "-"),
        ("x", True, "yes"),
        ("rss_bytes", 1536, "1.5 KiB"),
        ("freed_bytes", 12, "12 B"),
        ("rss_bytes", 5 << 40, "5.0 TiB"),
        ("cpu_percent", 12.345, "12.3 %"),
        ("uptime_seconds", 3.21, "3.2 s"),
        ("uptime_seconds", 45.2, "45 s"),
        ("uptime_seconds", 125, "2 min 5 s"),
        ("uptime_seconds", 7300, "2 h 1 min"),
        ("uptime_seconds", 200_000, "2 d 7 h"),
        ("progress", 0.5, "50%"),
        ("started_at", "not a time", "not a time"),
        ("command", ["nat", "serve", "a b"], "nat serve 'a b'"),
        ("tags", ["a", "b"], "a, b"),
        ("lines", ["x" * 60, "y" * 60], "x" * 60 + "\n" + "y" * 60),
        ("payload", {"k": "ü"}, '{"k": "ü"}'),
    ],
)
def test_values_in_words(name: str, value: Any, text: str) -> None:
    assert render.value_text(name, value) == text


def test_times_are_those_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    assert render.moment("2026-11-21T02:03:04.5Z") == "2026-11-21 03:03:04"
    monkeypatch.undo()
    time.tzset()
