"""What the machine refuses, told by each operation as it declares it: the file system says no, the disk is full, others search."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from att.code import search
from att.confine_errors import FileUnavailable
from att.problems import Problem
from att.store.errors import DiskFull
from tests.att.code.house import house

ASKED: dict[str, dict[str, Any]] = {
    "list": {"path": "folder"},
    "read": {"path": "folder/a.txt"},
    "write": {"path": "folder/a.txt", "content": "new"},
    "delete": {"path": "folder/a.txt"},
    "move": {"source": "folder/a.txt", "target": "b.txt"},
    "search": {"path": "folder", "query": "one"},
    "diff": {"path": ["folder/a.txt"]},
}


async def asked(home: Path, name: str, patch: pytest.MonkeyPatch, call: str, number: int) -> Problem:
    """What the operation answers when this call of the system ends with that error."""
    async with house(home) as made:
        made.has({"folder/a.txt": "one\n"})
        real = getattr(os, call)

        def refuses(path: Any, *more: Any, **named: Any) -> Any:
            if "dir_fd" in named or call in ("write", "fsync") or "src_dir_fd" in named:
                raise OSError(number, os.strerror(number))
            return real(path, *more, **named)

        with patch.context() as within:
            within.setattr(os, call, refuses)
            with pytest.raises(Problem) as told:
                await made.ask(name, **ASKED[name])
        assert (made.folder / "folder" / "a.txt").read_text() == "one\n"
        assert [path.name for path in (made.folder / "folder").iterdir()] == ["a.txt"]
        return told.value


@pytest.mark.parametrize("name", ASKED)
def test_what_the_file_system_refuses_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    problem = asyncio.run(asked(tmp_path, name, monkeypatch, "open", errno.EACCES))
    assert (type(problem), problem.status) == (FileUnavailable, 503)


@pytest.mark.parametrize(
    ("name", "call"), [("write", "fsync"), ("write", "replace"), ("delete", "unlink"), ("move", "rename")]
)
def test_a_full_disk_is_told_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: str
) -> None:
    problem = asyncio.run(asked(tmp_path, name, monkeypatch, call, errno.ENOSPC))
    assert (type(problem), problem.status) == (DiskFull, 507)


def test_a_search_does_not_wait_for_others_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with house(tmp_path) as made:
            monkeypatch.setattr(search, "_PATIENCE", 0.01)
            monkeypatch.setattr(made.code, "_searches", asyncio.Semaphore(0))
            with pytest.raises(Problem) as told:
                await made.ask("search", query="x")
            assert told.value.code == "too_many_searches"

    asyncio.run(go())
