"""Which paths a pattern means, and that none takes long to say so."""

from __future__ import annotations

import time

import pytest

from att.code.globs import Rules


@pytest.mark.parametrize(
    ("pattern", "means", "not_means"),
    [
        ("**/a/**/b", "a/b x/a/b a/x/b x/a/y/z/b", "a b/a a/x/c"),
        ("**/*/**/*/c", "x/y/c x/y/z/c", "c x/c"),
        ("a/**/**/b", "a/b a/x/b a/x/y/b", "a ab x/a/b"),
        ("**/a*/b/**", "a/b/x z/ax/b/c/d", "a/b ax/y/b"),
    ],
)
def test_double_stars_mean_any_directories(pattern: str, means: str, not_means: str) -> None:
    rules = Rules([pattern])
    for path, wanted in [(p, True) for p in means.split()] + [(p, None) for p in not_means.split()]:
        assert rules.decide(path, path.rpartition("/")[2], False) is wanted, path


def test_no_pattern_takes_long_on_a_deep_path() -> None:
    path = "/".join(["a"] * 60 + ["f.py"])
    began = time.monotonic()
    for pattern in ("**/*/" * 30 + "zzz", "**/a/" * 30 + "zzz", "**/" * 300 + "zzz", "**/*a*/" * 60 + "*zzz"):
        assert Rules([pattern]).decide(path, "f.py", False) is None
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(("pattern", "path"), [("a**/.py", "a.py"), ("****/b", "x/b"), ("x/a**", "x/a")])
def test_many_stars_mean_what_they_mean_to_git(pattern: str, path: str) -> None:
    assert Rules([pattern]).decide(path, path.rpartition("/")[2], False) is True
