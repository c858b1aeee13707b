"""A plugin of pytest for `_suite.py`: several runs share the test files, each taking the next one that nobody has taken yet.

`--claims FOLDER`: there stands `files`, one path a line, in the order in which they are to be taken; who makes the file of its
number first has taken it. Each run collects all, and runs the tests of its files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--claims", type=Path, help="the folder of the files that several runs share")


class Claims:
    """The files that are ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def taken(self) -> Iterator[str]:
        for number, path in enumerate((self.folder / "files").read_text("utf-8").splitlines()):
            try:
                (self.folder / str(number)).touch(exist_ok=False)
            except FileExistsError:
                continue
            yield path

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """As pytest's own loop, file by file; the fixtures of a file end with it."""
        if session.testsfailed:  # something could not be collected, which pytest tells
            return None
        found: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in session.items:
            found[str(item.path.relative_to(session.config.rootpath))].append(item)
        for path in self.taken():
            for item, after in zip_longest(found[path], found[path][1:]):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
        return True


def pytest_configure(config: pytest.Config) -> None:
    if folder := config.getoption("claims"):
        config.pluginmanager.register(Claims(folder), "claims")
