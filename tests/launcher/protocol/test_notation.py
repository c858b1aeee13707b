"""JSON as the launcher writes and reads it, compared to the whole `json`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.protocol import notation

ROOT = Path(__file__).resolve().parents[3]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture(params=["its C parts", "all of json"], autouse=True)
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with both: the second is what a Python gets whose parts are not known."""
    if request.param == "all of json":
        monkeypatch.setattr(notation, "PARTS", None)


def test_this_python_has_the_parts_that_are_known() -> None:
    assert notation._parts() is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_what_is_written_is_json_and_reads_back(value: Any) -> None:
    text = notation.dumps(value)
    assert json.loads(text) == value
    assert notation.loads(text) == notation.loads(text.encode()) == value
    assert notation.loads(f" \r\n\t{json.dumps(value, indent=1)}\n") == value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet='{}[]",:\\u019aelnrstf. -+eE\n\x00\ufeff', max_size=12) | st.text(max_size=6))
def test_what_json_refuses_is_refused_and_what_it_takes_is_taken(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            notation.loads(text)
    else:
        assert repr(notation.loads(text)) == repr(value)


@pytest.mark.parametrize("text", [b"\xff", b"", b"[" * 100_000, "NaN1", '{"a":1}x'])
def test_no_text_brings_another_error_than_those_of_json(text: bytes | str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        notation.loads(text)


def test_what_is_wrong_is_told_by_a_process_that_has_never_loaded_json() -> None:
    script = """
import sys
from launcher.protocol import notation
assert notation.loads('{"a": [1.5, "\\u00e9", null]}') == {"a": [1.5, "\xe9", None]}
assert "json" not in sys.modules
for text in sys.argv[1:]:
    try:
        notation.loads(text)
    except ValueError as error:
        print(type(error).__name__)
"""
    wrong = ["{", "", "nul", '{"a" 1}', "[1,", '"\x01"', "1 2"]
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, *wrong], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.split() == ["JSONDecodeError"] * len(wrong), done.stderr


def test_what_json_has_no_words_for_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="bytes"):
        notation.dumps({"a": b""})
