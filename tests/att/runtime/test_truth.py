"""The real error of a failed run, told from words that real NATs printed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.runtime import truth
from att.runtime.truth import Cause

WORDS = Path(__file__).parent / "words"
both = pytest.mark.parametrize("version", ["1.4", "1.9"])


def said(version: str, what: str) -> list[str]:
    return (WORDS / f"nat-{version}-{what}.txt").read_text("utf-8").splitlines()


@both
def test_an_unknown_component_is_named_with_those_there_are(version: str) -> None:
    found = truth.find(said(version, "unknown"))
    assert found is not None
    assert found.cause is Cause.UNKNOWN_COMPONENT
    assert (found.place, found.component) == ("workflow", "echoo")
    assert "echo" in found.known
    assert len(found.text) < 200


@both
def test_a_bad_value_is_told_in_nats_words(version: str) -> None:
    found = truth.find(said(version, "badvalue"))
    assert found is not None
    assert found.cause is Cause.INVALID_CONFIG
    assert "Input should be a valid number" in found.text


@both
def test_the_misleading_last_line_is_left_out(version: str) -> None:
    lines = said(version, "port")
    assert truth.MISLEADING in lines[-1]
    found = truth.find(lines)
    assert found is not None
    assert found.cause is Cause.PORT_IN_USE
    assert found.port == 8991
    assert truth.MISLEADING not in found.text


def test_a_traceback_that_belongs_to_a_warning_is_no_error() -> None:
    lines = [
        "2026-11-20 23:58:34 - WARNING  - nat.runtime.loader:216 - Failed to import plugin 'x'",
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in <module>',
        "ModuleNotFoundError: No module named 'langchain_core'",
        "2026-11-20 23:58:35 - INFO     - nat.runtime.session:332 - Shared workflow built",
    ]
    assert truth.find(lines) is None


def test_of_a_chain_the_last_exception_counts() -> None:
    lines = [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in a',
        "KeyError: 'inner'",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        '  File "b.py", line 2, in b',
        "    raise Outer() from e",
        "app.errors.OuterError: the outer",
        "second line of it",
    ]
    found = truth.find(lines)
    assert found is not None
    assert found.text == "app.errors.OuterError: the outer\nsecond line of it"


def test_a_missing_module_is_named() -> None:
    lines = [
        "Traceback (most recent call last):",
        '  File "a"',
        "ModuleNotFoundError: No module named 'sqlalchemy'",
    ]
    found = truth.find(lines)
    assert found is not None
    assert (found.cause, found.module) == (Cause.MODULE_MISSING, "sqlalchemy")


def test_a_usage_error_of_the_command_is_found() -> None:
    found = truth.find(["Usage: nat serve [OPTIONS]", "", "Error: No such option: --colour"])
    assert found is not None
    assert found.text == "No such option: --colour"


def test_colours_do_not_hide_an_error() -> None:
    found = truth.find(["\x1b[31m2026-11-20 23:58:34 - ERROR    - app:1 - the disk is on fire\x1b[0m"])
    assert found is not None
    assert found.text == "the disk is on fire"


def test_a_run_without_an_error_has_none() -> None:
    assert truth.find([]) is None
    assert (
        truth.find(["hello", "2026-11-20 23:58:34 - INFO:     Uvicorn running on http://127.0.0.1:8000"])
        is None
    )


@given(st.lists(st.text(max_size=60), max_size=30))
def test_any_words_are_taken(lines: list[str]) -> None:
    found = truth.find(lines)
    assert found is None or found.text


@given(st.lists(st.sampled_from(said("1.9", "port") + said("1.4", "unknown")), max_size=40))
def test_the_misleading_line_is_never_the_truth(lines: list[str]) -> None:
    found = truth.find(lines)
    assert found is None or truth.MISLEADING not in found.text
