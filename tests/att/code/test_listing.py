"""Listing: in order, page by page, without what git would ignore."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from att.code.globs import Rules, parse
from att.code.tree import Tree
from att.problems import BadCursor
from tests.att.code.house import House, house
from tests.att.rooms import on_a_loop


async def paths(app: House, **asked: Any) -> list[str]:
    return [entry.path for entry in (await app.ask("list", **asked)).files]


@on_a_loop
async def test_files_come_in_order_with_what_they_are(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({"b/c.py": "12", "a": "1", "b.py": "", ".hidden": ""})
        (app.folder / "link").symlink_to("b/c.py")
        found = (await app.ask("list")).files
        assert [(e.path, e.kind, e.size, e.target) for e in found] == [
            ("a", "file", 1, None),
            ("b", "directory", None, None),
            ("b/c.py", "file", 2, None),
            ("b.py", "file", 0, None),
            ("link", "link", None, "b/c.py"),
        ]


@on_a_loop
async def test_pages_together_are_the_whole(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({f"{a}/{b}/{c}.py": "" for a in "xyz" for b in ("a", "a.b", "b") for c in "12"})
        (app.folder / "x" / "a" / "\udcff").write_text("")
        whole = await paths(app)
        assert len(whole) == 3 + 9 + 18 + 1
        for limit in (1, 2, 5, 30, 31):
            found: list[str] = []
            cursor = None
            while True:
                page = await app.ask("list", limit=limit, cursor=cursor)
                assert len(page.files) <= limit
                found += [e.path for e in page.files]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert found == whole


@on_a_loop
async def test_a_page_goes_on_where_it_ended_though_that_entry_is_gone(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({"a": "", "b/x": "", "b/y": "", "c": ""})
        page = await app.ask("list", limit=3)
        (app.folder / "b/x").unlink()
        (app.folder / "b/y").unlink()
        (app.folder / "b").rmdir()
        assert await paths(app, cursor=page.next_cursor) == ["c"]
        for cursor in ("!", "AA", ""):
            with pytest.raises(BadCursor):
                await app.ask("list", cursor=cursor)


@on_a_loop
async def test_depth_path_globs_and_hidden_narrow_it(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has({"src/a/b.py": "", "src/c.py": "", "src/d.md": "", ".github/x.yml": "", ".git/config": ""})
        assert await paths(app, depth=1) == ["src"]
        assert await paths(app, path="src", depth=1) == ["src/a", "src/c.py", "src/d.md"]
        assert await paths(app, glob=["*.py"]) == ["src/a/b.py", "src/c.py"]
        assert await paths(app, glob=["src/", "!*.md"]) == ["src/a/b.py", "src/c.py"]
        assert await paths(app, hidden=True, glob=["/.github/**"]) == [".github/x.yml"]
        assert ".git" not in await paths(app, hidden=True, ignored=True)


@on_a_loop
async def test_what_is_ignored_is_left_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    async with house(tmp_path) as app:
        app.has(
            {
                ".gitignore": "*.pyc\n/build/\n!keep.pyc\n",
                "a.pyc": "",
                "keep.pyc": "",
                "build/x": "",
                "src/build/y": "",
                "src/.gitignore": "y\n!a.pyc\n",
                "src/a.pyc": "",
            }
        )
        assert await paths(app) == ["keep.pyc", "src", "src/a.pyc", "src/build"]
        assert "build/x" in await paths(app, ignored=True)


NAME = st.sampled_from(["a", "b", "ab", "a.py", "b.c", "x y", "[a]", "-", "a*", "#a", "!b", "\\a"])
PIECE = st.sampled_from(
    [
        "a",
        "b",
        "*",
        "**",
        "?",
        "/",
        "/",
        "**/",
        "/**",
        "[ab]",
        "[!a]",
        "[^b-z]",
        "[[:alpha:]]",
        "[",
        "]",
        "\\",
        ".py",
        "!",
        "#",
        " ",
    ]
)
PATTERN = st.lists(PIECE, min_size=1, max_size=6).map("".join)


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(
    files=st.lists(
        st.lists(NAME, min_size=1, max_size=4).map("/".join), min_size=1, max_size=10, unique=True
    ),
    top=st.lists(PATTERN, max_size=5),
    below=st.lists(PATTERN, max_size=3),
)
def test_git_would_ignore_the_same(files: list[str], top: list[str], below: list[str]) -> None:
    with tempfile.TemporaryDirectory() as above:
        root = Path(above)
        made = []
        for name in files:
            path = root / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")
                made.append(name)
            except OSError:
                continue  # a file stands where a directory is wanted
        (root / ".gitignore").write_text("\n".join(top) + "\n")
        if (root / "a").is_dir():
            (root / "a" / ".gitignore").write_text("\n".join(below) + "\n")
        ours = sorted(node.path for node in Tree(above, hidden=True).walk() if node.kind == "file")
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        for command in (["init", "-q"], ["ls-files", "-z", "--others", "--exclude-standard"]):
            done = subprocess.run(["git", *command], cwd=root, env=env, check=True, capture_output=True)
        theirs = sorted(done.stdout.decode().rstrip("\0").split("\0"))
        assert ours == [name for name in theirs if name]


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("*.py", ["a.py", ".py"], ["a.pyc", "py"]),
        ("a?c", ["abc"], ["ac", "abbc"]),
        ("[!a]b", ["bb"], ["ab", "b"]),
        ("[]a]", ["]", "a"], ["b"]),
        (r"\!a", ["!a"], ["a"]),
        ("a\\ ", ["a "], ["a"]),
        ("a*b*c", ["abc", "axbxc", "abcbc"], ["acb", "ab"]),
    ],
)
def test_a_name_fits_as_git_means_it(pattern: str, fits: list[str], not_: list[str]) -> None:
    rules = Rules([pattern])
    for name in fits:
        assert rules.decide(name, name, False), name
    for name in not_:
        assert rules.decide(name, name, False) is None, name


@pytest.mark.parametrize("line", ["", "# a", "   ", "/", "!", "a[", "a\\"])
def test_a_line_that_is_no_pattern_means_nothing(line: str) -> None:
    assert parse(line) is None


def test_no_pattern_takes_long() -> None:
    """Each star is given back at most once; else this would not end."""
    name = "a" * 250
    assert Rules(["*a" * 60 + "*b"]).decide(name, name, False) is None
    assert Rules(["x/" + "*a" * 60 + "*b"]).decide(f"x/{name}", name, False) is None
