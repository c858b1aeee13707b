"""What is ignored: a search, a list and git itself are of one mind."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from att.code import search
from att.code.models import SearchFiles
from att.code.tree import Tree

NAME = st.sampled_from(["a", "b", "ab", "a.py", "b.c", "x y", ".h", "-", "#a", "!b"])
PIECE = st.sampled_from(
    [
        "a",
        "b",
        "*",
        "**/",
        "/**",
        "?",
        "/",
        "/",
        "[ab]",
        ".py",
        "#",
        " ",
        "//",
        "[",
        "]",
        "[!a]",
        "{a,b}",
        "\\",
        "**",
    ]
)
PATTERN = st.tuples(st.sampled_from(["", "", "!"]), st.lists(PIECE, min_size=1, max_size=5)).map(
    lambda told: told[0] + "".join(told[1])
)
RULES = st.lists(PATTERN, max_size=4).map("\n".join)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.lists(NAME, min_size=1, max_size=4).map("/".join), min_size=1, max_size=10, unique=True
    ),
    top=RULES,
    below=RULES,
    hidden=st.booleans(),
    ignored=st.booleans(),
)
@example(names=["a/b"], top="**//b", below="", hidden=False, ignored=False)
@example(names=["a", "b"], top="[", below="", hidden=False, ignored=False)
@example(names=["{a,b}", "a"], top="{a,b}", below="", hidden=False, ignored=False)
def test_a_search_comes_by_the_files_that_a_list_names_and_git_knows(
    names: list[str], top: str, below: str, hidden: bool, ignored: bool
) -> None:
    with tempfile.TemporaryDirectory() as above:
        root = Path(above)
        for name in names:
            try:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("x\n")
            except OSError:
                continue  # a file stands where a directory is wanted
        (root / ".gitignore").write_text(f"{top}\n#x\n")
        if (root / "a").is_dir():
            (root / "a" / ".gitignore").write_text(f"{below}\n#x\n")
        ask = SearchFiles(project_id="app", query="x", hidden=hidden, ignored=ignored, limit=2000)
        answer = asyncio.run(search.search(root, (), ask, asyncio.Semaphore(1)))
        listed = [n.path for n in Tree(above, hidden=hidden, ignored=ignored).walk() if n.kind == "file"]
        assert list(dict.fromkeys(match.path for match in answer.matches)) == [
            path for path in listed if "x" in (root / path).read_text()
        ]
        if not ignored:
            untracked = known_to_git(root)
            assert sorted(listed) == sorted(p for p in untracked if hidden or not re.search(r"(^|/)\.", p))


def known_to_git(root: Path) -> list[str]:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "init", "-q", "--template="], cwd=root, env=env, check=True)
    words = ["git", "-c", "core.excludesFile=", "ls-files", "-o", "-z", "--exclude-standard"]
    told = subprocess.run(words, cwd=root, env=env, check=True, capture_output=True).stdout
    return [os.fsdecode(name) for name in told.split(b"\0") if name]
