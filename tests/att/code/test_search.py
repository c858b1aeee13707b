"""Searching: the lines that hold it, in order, in bounded time whatever is asked."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from att.code.errors import InvalidPattern
from att.code.lines import Finder, needle
from tests.att.code.house import House, house
from tests.att.rooms import on_a_loop


async def found(app: House, query: str, **asked: Any) -> list[tuple[str, int, int, str]]:
    answer = await app.ask("search", query=query, **asked)
    return [(m.path, m.line, m.column, m.text) for m in answer.matches]


FILES: dict[str, str | bytes] = {
    "a.py": "import os\n\ndef main():\n    os.exit(1)\n",
    "b/c.md": "# os\r\nOS\r\nno end: os",
    "b/d.bin": b"\0os",
    "old.log": "os\n",
    ".gitignore": "*.log\n",
    ".hidden": "os\n",
}


@on_a_loop
async def test_text_is_found_line_by_line_in_order(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has(FILES)
        plain = [("a.py", 1, 8, "import os"), ("a.py", 4, 5, "    os.exit(1)"), ("b/c.md", 1, 3, "# os")]
        assert await found(app, "os") == [*plain, ("b/c.md", 3, 9, "no end: os")]
        assert ("b/c.md", 2, 1, "OS") in await found(app, "os", ignore_case=True)
        assert await found(app, "os.exit(") == [plain[1]]
        assert await found(app, r"^os$", regex=True, ignored=True, hidden=True) == [
            (".hidden", 1, 1, "os"),
            ("old.log", 1, 1, "os"),
        ]
        assert await found(app, "os", globs=["*.md"]) == [plain[2], ("b/c.md", 3, 9, "no end: os")]
        assert await found(app, "os", globs=["!b/"]) == plain[:2]
        assert await found(app, "os", path="b") == [plain[2], ("b/c.md", 3, 9, "no end: os")]
        answer = await app.ask("search", query="os")
        assert (answer.complete, answer.reason, answer.files, answer.binary) == (True, None, 2, 1)


@on_a_loop
async def test_lines_around_a_match_are_told_when_wanted(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({"a": "1\n2\n3\nhere\n5\n6"})
        (match,) = (await app.ask("search", query="here", context=2)).matches
        assert (match.before, match.after, match.line) == (["2", "3"], ["5", "6"], 4)
        (first,) = (await app.ask("search", query="1", context=2)).matches
        assert (first.before, first.after) == ([], ["2", "3"])


@on_a_loop
async def test_results_are_bounded_and_the_answer_says_so(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({f"{n:03}": "x\n" * 10 for n in range(300)})
        answer = await app.ask("search", query="x", limit=25)
        assert [(m.path, m.line) for m in answer.matches] == [
            (f"{n // 10:03}", n % 10 + 1) for n in range(25)
        ]
        assert (answer.complete, answer.reason) == (False, "limit")
        assert (await app.ask("search", query="x", path="", limit=2000)).reason == "limit"


@on_a_loop
async def test_what_several_processes_find_comes_in_one_order(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({f"{n:04}": "x\n" * 2 for n in range(700)})
        everything = [(f"{n // 2:04}", n % 2 + 1, 1, "x") for n in range(1400)]
        assert await found(app, "[xy]", regex=True, limit=2000) == everything
        assert await found(app, "[xy]", regex=True, limit=300) == everything[:300]


@on_a_loop
async def test_a_long_line_is_told_in_part(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({"min.js": "a" * 9_000_000 + "NEEDLE" + "b" * 5000})
        (match,) = (await app.ask("search", query="NEEDLE")).matches
        assert match.cut and "NEEDLE" in match.text and len(match.text) <= 1000


@on_a_loop
async def test_lines_are_counted_through_a_file_of_many_blocks(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({"big": "".join(f"line {n}\n" for n in range(1, 900_001))})
        assert await found(app, "line 900000") == [("big", 900_000, 1, "line 900000")]


@pytest.mark.parametrize("query", [r"(a+)+$", r"(a|aa)+$", r"^(?=(a+)+$)b"])
@on_a_loop
async def test_an_expression_that_would_take_for_ever_ends(tmp_path: Path, query: str) -> None:
    async with house(tmp_path) as app:
        app.has({"a": "a" * 60 + "!\n", "b": "fine"})
        began = time.monotonic()
        answer = await app.ask("search", query=query, regex=True, timeout=0.5)
        assert time.monotonic() - began < 5
        assert (answer.complete, answer.reason) == (False, "timeout")


@pytest.mark.parametrize(
    ("query", "position"), [("a(b", 1), ("[a", 0), ("*", 0), ("a{2,1}", 2), ("(?P<1>a)", 4)]
)
@on_a_loop
async def test_what_is_no_expression_is_refused_with_the_place(
    tmp_path: Path, query: str, position: int
) -> None:
    async with house(tmp_path) as app:
        with pytest.raises(InvalidPattern) as refused:
            await app.ask("search", query=query, regex=True)
        assert refused.value.extra["position"] == position
        assert refused.value.status == 422


@on_a_loop
async def test_an_expression_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        with pytest.raises(InvalidPattern):
            await app.ask("search", query="a{99999999999}", regex=True)


@on_a_loop
async def test_links_and_pipes_are_not_looked_into(tmp_path: Path) -> None:
    import os

    async with house(tmp_path) as app:
        (tmp_path / "secret").write_text("os\n")
        (app.folder / "link").symlink_to(tmp_path / "secret")
        (app.folder / "folder").symlink_to(tmp_path)
        os.mkfifo(app.folder / "pipe")
        assert await found(app, "os", hidden=True) == []


ATOM = st.sampled_from(
    [
        "a",
        "b",
        ".",
        r"\s",
        r"\w",
        "[^a]",
        "[ab]",
        "^",
        "$",
        r"\b",
        "(a)",
        "(?:b)",
        "(?=a)",
        "(?!b)",
        "(?<=a)",
        "(?>a)",
        "ab",
        r"\.",
        r"\n",
        "|",
    ]
)
PART = st.tuples(ATOM, st.sampled_from(["", "", "*", "+", "?", "*?", "{2}", "*+", "{0,1}"])).map("".join)


@settings(max_examples=600, deadline=None)
@given(
    query=st.lists(PART, min_size=1, max_size=5).map("".join),
    text=st.text(alphabet="ab. \n", max_size=40),
    folded=st.booleans(),
)
def test_the_lines_are_those_that_match_alone(query: str, text: str, folded: bool) -> None:
    try:
        alone = re.compile(query, re.MULTILINE | (re.IGNORECASE if folded else 0))
    except re.error:
        return
    finder = Finder(query, regex=True, ignore_case=folded, context=0)
    lines = text.removesuffix("\n").split("\n") if text else []
    wanted = [(n, m.start() + 1) for n, line in enumerate(lines, 1) if (m := alone.search(line))]
    data = text.encode()
    ours = [(m["line"], m["column"]) for m in finder.find(data, 1)] if finder.maybe(data) else []
    assert ours == wanted
    whole = re.compile(query, re.IGNORECASE if folded else 0).search(text)
    assert whole is None or needle(query) in whole[0].lower() or folded


@pytest.mark.parametrize(
    ("query", "held"),
    [
        *[("abc", "abc"), ("ab?c", "a"), ("a.bcd", "bcd"), (r"a\.b", "a.b"), ("a|b", ""), ("(?i)a", "")],
        *[(r"def \w+_x", "def "), ("(ab)?c", "c"), ("[abc]de", "de"), ("[]a]x", "x"), ("ab{0}c", "a")],
        (r"\x41", ""),
    ],
)  # fmt: skip
def test_a_text_that_every_match_holds_is_seen(query: str, held: str) -> None:
    assert needle(query) == held
