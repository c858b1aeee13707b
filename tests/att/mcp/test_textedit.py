"""Editing what a person wrote: only what was asked for changes, for any text; what cannot be done so is refused."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.mcp.textedit import NotEditable, put_json, put_toml, read_json

VALUE = {"command": "att", "args": ["mcp"]}
PATH = ("mcpServers", "att")
TABLE = ("mcp_servers", "att")
MANAGED = frozenset({"command", "args", "url"})

leaf = (
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
)
tree = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
anything = st.dictionaries(st.text() | st.sampled_from(["mcpServers", "att"]), tree, max_size=4)


@given(anything, st.sampled_from([None, 1, 2, 4, "\t"]), st.booleans())
def test_any_json_keeps_all_it_had_and_gets_what_was_wanted(
    had: dict[str, Any], indent: Any, ascii_only: bool
) -> None:
    text = json.dumps(had, indent=indent, ensure_ascii=ascii_only)
    if not isinstance(had.get("mcpServers", {}), dict):
        with pytest.raises(NotEditable):
            put_json(text, PATH, VALUE)
        return
    made = put_json(text, PATH, VALUE)
    wanted = {**had, "mcpServers": {**had.get("mcpServers", {}), "att": VALUE}}
    assert json.loads(made) == wanted
    assert put_json(made, PATH, VALUE) == made or json.loads(put_json(made, PATH, VALUE)) == wanted


def test_comments_commas_order_and_indentation_stay() -> None:
    text = (
        '// of mine\n{\n\t"z": 1, // last letter\n\t"mcpServers": {\n\t\t/* other */ "b": {"url": "//x"}, // the b\n\t},\n'
        '\t"a": [1, 2,],\n}\n'
    )
    made = put_json(text, PATH, VALUE)
    added = '\n\t\t"att": {\n\t\t\t"command": "att",\n\t\t\t"args": [\n\t\t\t\t"mcp"\n\t\t\t]\n\t\t}'
    assert made == text.replace("// the b", "// the b" + added)


def test_a_remark_on_the_last_member_stays_with_it() -> None:
    text = '{\n  "a": 1 // one\n}\n'
    assert put_json(text, ("b",), 2) == '{\n  "a": 1, // one\n  "b": 2\n}\n'


def test_line_ends_and_the_mark_at_the_begin_stay() -> None:
    made = put_json('\ufeff{\r\n    "a": 1\r\n}\r\n', ("b",), {"c": 2})
    assert made == '\ufeff{\r\n    "a": 1,\r\n    "b": {\r\n        "c": 2\r\n    }\r\n}\r\n'


@pytest.mark.parametrize(
    "text", ["", " \n", "\ufeff", "{}", "{\n}", "{ /* nothing yet */ }", "{ // nothing\n}"]
)
def test_an_empty_file_or_object_gets_it(text: str) -> None:
    assert read_json(put_json(text, PATH, VALUE)) == {"mcpServers": {"att": VALUE}}


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{",
            "[",
            "{]",
            '{"a" 1}',
            '{"a": 1 "b": 2}',
            "{,}",
            "[1,,2]",
            '{"a": 01}',
            '{"a": nul}',
            "{} {}",
            "{'a': 1}",
        ),
        *('{"a": "\n"}', '{"a": "\\x"}', '{"a": 1, "a": 2}', "/* {}", '{"a": NaN}', "[" * 500, "5", "[]"),
    ],
)
def test_what_is_no_object_of_json_is_refused(text: str) -> None:
    with pytest.raises(NotEditable):
        put_json(text, PATH, VALUE)


@given(st.text())
def test_any_text_is_edited_or_refused(text: str) -> None:
    try:
        made = put_json(text, PATH, VALUE)
    except NotEditable:
        return
    assert read_json(made)["mcpServers"]["att"] == VALUE


@given(tree.filter(lambda value: "\ud800" not in repr(value)))
def test_all_that_json_reads_is_read_the_same(value: Any) -> None:
    assert read_json(json.dumps(value)) == value or not json.dumps(value).strip()


WRITTEN = """\
# mine
model = "o5"  # the best

[mcp_servers.other]
args = [
  "a", # not att
  "[mcp_servers.att]",
]
text = '''
[mcp_servers.att]
'''

[mcp_servers."att"]  # ours
url = "http://127.0.0.1:1/mcp"
startup_timeout_sec = 20  # slow
args = [
  "old",
]

[mcp_servers.att.env]
A = "1"

[[profiles]]
name = "x"
"""


def test_of_toml_only_our_keys_are_replaced() -> None:
    made = put_toml(WRITTEN, TABLE, VALUE, MANAGED)
    ours = '[mcp_servers."att"]  # ours\ncommand = "att"\nargs = ["mcp"]\nstartup_timeout_sec = 20  # slow\n'
    begin, end = WRITTEN.index('[mcp_servers."att"]'), WRITTEN.index("\n[mcp_servers.att.env]")
    assert made == WRITTEN[:begin] + ours + WRITTEN[end:]
    assert put_toml(made, TABLE, VALUE, MANAGED) == made


@pytest.mark.parametrize(
    "text", ["", "a = 1", "a = 1\n", "[b]\nc = 1\r\n", "[mcp_servers]\n", "[mcp_servers.att.env]\nA = '1'\n"]
)
def test_of_toml_a_new_table_stands_at_the_end(text: str) -> None:
    made = put_toml(text, TABLE, VALUE, MANAGED)
    assert made.startswith(text)
    assert {**tomllib.loads(made)["mcp_servers"]["att"], "env": None} == {**VALUE, "env": None}


@pytest.mark.parametrize(
    "text",
    [
        *("a = ", "[a\n", "a = 1\na = 2\n", "[mcp_servers]\natt = 5\n", "mcp_servers = 5\n"),
        *("mcp_servers = { b = { url = 'x' } }\n", "[mcp_servers]\natt = { command = 'x' }\n"),
        *("mcp_servers.att.command = 'x'\n", "[[mcp_servers.att]]\n"),
    ],
)
def test_toml_that_cannot_be_edited_without_harm_is_refused(text: str) -> None:
    with pytest.raises(NotEditable):
        put_toml(text, TABLE, VALUE, MANAGED)


@given(st.text())
def test_any_text_is_edited_as_toml_or_refused(text: str) -> None:
    try:
        made = put_toml(text, TABLE, VALUE, MANAGED)
    except NotEditable:
        return
    assert tomllib.loads(made)["mcp_servers"]["att"] == VALUE


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_argument_is_written_so_that_toml_reads_it(argument: str) -> None:
    made = put_toml("", TABLE, {"args": [argument]}, MANAGED)
    assert tomllib.loads(made)["mcp_servers"]["att"]["args"] == [argument]
