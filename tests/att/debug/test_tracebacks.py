"""Whatever Python's own traceback module prints is read back to its types, messages and frames."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from att.debug.tracebacks import Raised, Why, parse, whole

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=30)
# A message may be of several lines; what no text can tell from a traceback's own lines is left out.
MESSAGES = st.lists(WORDS, max_size=3).map("\n".join).filter(lambda text: not text.endswith("\n"))


class Outer:
    class OwnError(Exception):
        """Has a dotted name."""


KINDS = st.sampled_from([ValueError, KeyError, OSError, RuntimeError, Outer.OwnError, ZeroDivisionError])
Shape = tuple[type[Exception], str, list[str], int, str, object, list[object]]


@st.composite
def shapes(draw: st.DrawFn, depth: int = 2) -> Shape:
    """Type, message, notes, depth of calls, how it is joined to another, that other, and members of a group."""
    kind, message = draw(KINDS), draw(MESSAGES)
    joined = draw(st.sampled_from(["", "cause", "context"])) if depth else ""
    other = draw(shapes(depth - 1)) if joined else None
    members = draw(st.lists(shapes(depth - 1), max_size=3)) if depth else []
    notes = draw(st.lists(WORDS.filter(bool), max_size=2))
    calls = draw(st.integers(1 if members else 0, 3))  # a group is always raised
    return kind, message, notes, calls, joined, other, members


def build(shape: Shape) -> Exception:
    """The exception of this shape, really raised (a depth of 0: never raised, so it has no traceback)."""
    kind, message, notes, calls, joined, other, members = shape
    within = [build(member) for member in members]  # type: ignore[arg-type]
    raised = ExceptionGroup(message, within) if within else kind(message)
    for note in notes:
        raised.add_note(note)
    cause = build(other) if joined else None  # type: ignore[arg-type]
    if joined == "cause":
        raised.__cause__ = cause
    else:
        raised.__context__ = cause

    def call(left: int) -> None:
        if left:
            call(left - 1)
        raise raised

    if calls:
        context = raised.__context__
        try:
            call(calls)
        except Exception:
            raised.__context__ = context
    return raised


def compare(found: tuple[Raised, ...], raised: BaseException) -> None:
    last = found[-1]
    kind = type(raised)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    assert last.type == name
    assert last.message == "\n".join([str(raised), *getattr(raised, "__notes__", [])])
    frames = traceback.extract_tb(raised.__traceback__)
    assert [(f.file, f.line, f.function) for f in last.frames] == [
        (f.filename, f.lineno, f.name) for f in frames
    ]
    assert [f.code for f in last.frames] == [f.line or None for f in frames]
    before = raised.__cause__ or raised.__context__
    if before is None:
        assert len(found) == 1 and last.why is None
    else:
        assert last.why is (Why.CAUSE if raised.__cause__ else Why.CONTEXT)
        compare(found[:-1], before)
    if isinstance(raised, BaseExceptionGroup):
        assert len(last.members) == len(raised.exceptions)
        for chain, member in zip(last.members, raised.exceptions, strict=True):
            compare(chain, member)


def printed(raised: BaseException) -> str:
    return "".join(traceback.format_exception(raised))


@settings(max_examples=150, deadline=None)
@given(shapes())
def test_what_python_prints_is_read_back(shape: Shape) -> None:
    raised = build(shape)
    text = printed(raised)
    if raised.__traceback__ is None and not shape[4]:
        text = f"Traceback (most recent call last):\n{text}"
    compare(parse(text.removesuffix("\n")), raised)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('Tracebck (mosten l):\n  File "x", line 1, in f\n|+-Error: '), max_size=400))
def test_any_text_at_all_is_read_without_a_fault(text: str) -> None:
    parse(text)
    whole(text)


@pytest.mark.parametrize("source", ["def f(:\n    pass\n", "x = = 1\n", "  y\n", "print('a\n"])
def test_a_syntax_error_has_its_place(source: str) -> None:
    with pytest.raises(SyntaxError) as caught:
        compile(source, "bad file.py", "exec")
    whole_text = printed(caught.value)
    alone = "".join(traceback.format_exception_only(caught.value))
    for text in (whole_text, alone):
        found = parse(text.rstrip("\n"))[-1]
        assert found.type == type(caught.value).__name__ and found.message == caught.value.msg
        place = found.frames[-1]
        assert (place.file, place.line, place.function) == ("bad file.py", caught.value.lineno, None)


def test_a_deep_recursion_is_told_as_repeated() -> None:
    def again() -> None:
        again()

    with pytest.raises(RecursionError) as caught:
        again()
    found = parse(printed(caught.value).rstrip("\n"))[-1]
    assert found.type == "RecursionError" and found.frames[-1].repeated > 500


def test_what_stands_around_a_traceback_is_left_out() -> None:
    text = """Error running workflow
Traceback (most recent call last):
  File "/srv/app/tool.py", line 7, in call
    return 1 / 0
           ~~^~~
ZeroDivisionError: division by zero"""
    (found,) = parse(text)
    assert (found.type, found.message, len(found.frames)) == ("ZeroDivisionError", "division by zero", 1)
    assert found.frames[0].code == "return 1 / 0"
    assert parse("all is well\nreally") == ()


def test_a_traceback_that_is_still_being_written_is_not_whole() -> None:
    text = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    x()'
    assert not whole(text)
    assert whole(text + "\nValueError: no")
    assert whole("no traceback")
