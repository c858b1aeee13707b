"""A cursor is opaque, says whose it is, and is read back exactly or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs import cursor
from supervisor.logs.errors import BadCursor, CursorOfAnotherProject


@given(st.text(), st.integers(0, 1 << 62))
def test_a_cursor_is_read_back(log: str, offset: int) -> None:
    tag = cursor.tag(log)
    assert cursor.read(cursor.write(tag, offset), tag, 0, offset) == offset


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_is_the_same_cursor(text: str) -> None:
    tag = cursor.tag("demo")
    try:
        offset = cursor.read(text, tag, 0, 1 << 62)
    except (BadCursor, CursorOfAnotherProject):
        return
    assert text in ("oldest", "newest") or cursor.write(tag, offset) == text


def test_the_words_and_the_bounds() -> None:
    tag = cursor.tag("demo")
    assert cursor.read("oldest", tag, 5, 9) == 5
    assert cursor.read("newest", tag, 5, 9) == 9
    assert cursor.read(f"{tag}-3", tag, 5, 9) == 3  # what was there reads as lost
    with pytest.raises(BadCursor):
        cursor.read(f"{tag}-10", tag, 5, 9)
    with pytest.raises(CursorOfAnotherProject):
        cursor.read(f"{cursor.tag('other')}-3", tag, 5, 9)
