"""What of a JSON body stands beside its texts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.bulk import LARGE
from att.http.errors import BodyTooLarge
from att.http.heavy import BESIDE, beside_texts, is_large

TEXTS = st.text() | st.sampled_from(["\\", '"', '\\"', "\\\\", "[],", "\\u0022", "1e999"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_all_texts_are_taken_out_and_nothing_else(value: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert beside_texts(raw) == re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', raw, flags=re.DOTALL)


@given(st.binary(max_size=300) | st.text(alphabet='\\"[]x').map(str.encode))
def test_it_takes_whatever_comes(raw: bytes) -> None:
    assert len(beside_texts(raw)) <= len(raw) + 2


@pytest.mark.parametrize("piece", [b"[],", b"0,", b"{},", b'"a",', b'"\\"",'])
def test_there_is_a_bound_to_it(piece: bytes) -> None:
    beside = len(re.sub(rb'"[^,]*"', b'""', piece))
    assert beside_texts(piece * (BESIDE // beside))
    with pytest.raises(BodyTooLarge) as told:
        beside_texts(piece * (BESIDE // beside + 2))
    assert told.value.extra["limit"] == BESIDE


def test_a_large_value_is_large_wherever_its_text_is() -> None:
    text = "x" * LARGE
    assert all(
        map(is_large, (text, [text], {"a": {"b": [0, text]}}, [0] * LARGE, dict.fromkeys(range(LARGE))))
    )
    assert not any(map(is_large, (None, "", [], {"a": "b"}, ["x"] * 100, {"a": {"b": text[:100]}})))
