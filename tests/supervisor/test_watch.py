"""What globs mean, which folders are watched for them, and that changes are told once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.watch import Root, changes, matcher, roots
from tests.supervisor.house import story
from tests.support import eventually

names = st.text("abc.-_[]*?!^\\(){}+|&~ é", min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..", "**")
)


@pytest.mark.parametrize(
    ("glob", "means", "not_these"),
    [
        ("config.yml", ["config.yml"], ["a/config.yml", "configXyml", "config.yml/a"]),
        ("./config.yml", ["config.yml"], []),
        ("*.py", ["a.py", ".py"], ["a/b.py", "a.pyc"]),
        ("src/**/*.py", ["src/a.py", "src/a/b.py", "src/a/b/c.py"], ["a.py", "src/a.txt", "srcs/a.py"]),
        ("src/**", ["src/a", "src/a/b"], ["a"]),
        ("**/*.yml", ["a.yml", "x/a.yml"], ["a.yaml"]),
        ("a?.txt", ["ab.txt"], ["a.txt", "a/.txt"]),
        ("[a-c].txt", ["a.txt", "c.txt"], ["d.txt", "-.txt"]),
        ("[!a-c].txt", ["d.txt"], ["a.txt", "/.txt"]),
        ("a[b.txt", ["a[b.txt"], ["ab.txt"]),
        ("a+(b).txt", ["a+(b).txt"], ["aab.txt"]),
    ],
)
def test_a_glob_means_what_people_expect(glob: str, means: list[str], not_these: list[str]) -> None:
    matches = matcher([glob])
    assert [path for path in means if not matches(path)] == []
    assert [path for path in not_these if matches(path)] == []


def test_without_a_glob_nothing_is_meant() -> None:
    assert not matcher([])("a")
    assert roots([]) == ()


def test_only_the_folders_that_globs_can_reach_are_watched() -> None:
    assert roots(["config.yml", "*.toml"]) == (Root("", False),)
    assert roots(["src/**/*.py"]) == (Root("src", True),)
    assert roots(["src/app/*.py", "conf/a.yml"]) == (Root("conf", False), Root("src/app", False))
    assert roots(["*/x.py"]) == (Root("", True),)
    assert roots(["src/**"]) == (Root("src", True),)


@given(names)
def test_any_name_can_be_used_as_a_glob(name: str) -> None:
    matcher([name])(name)
    if not set(name) & set("*?["):
        assert matcher([name])(name)
        assert not matcher([name])(name + "x")


@given(st.lists(names, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=5))
def test_what_a_glob_means_lies_under_its_folder(glob_parts: list[str], path_parts: list[str]) -> None:
    glob, path = "/".join(glob_parts), "/".join(path_parts)
    if matcher([glob])(path):
        (root,) = roots([glob])
        assert root.folder == "" or path.startswith(root.folder + "/")
        assert path.count("/") == glob.count("/")


@story
async def test_many_changes_close_together_are_one_piece_of_news(tmp_path: Path) -> None:
    news: list[tuple[str, ...]] = []

    async def listen() -> None:
        async for paths in changes(tmp_path, ("*.txt", "deep/**/*.py"), 0.2):
            news.append(paths)  # noqa: PERF401  # while it comes

    listening = asyncio.create_task(listen())

    async def heard() -> bool:
        (tmp_path / "probe.txt").write_text("x")
        await asyncio.sleep(0.3)
        return bool(news)

    await eventually(heard)
    news.clear()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.md"):
        (tmp_path / name).write_text("x")
    await eventually(lambda: any({"a.txt", "b.txt"} <= set(paths) for paths in news))
    assert sum("a.txt" in paths for paths in news) == 1
    assert not any("c.md" in paths for paths in news)
    news.clear()

    async def heard_deep() -> bool:
        (tmp_path / "deep" / "er" / "x.py").write_text("1")
        await asyncio.sleep(0.3)
        return any("deep/er/x.py" in paths for paths in news)

    await eventually(heard_deep)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("watch")]
