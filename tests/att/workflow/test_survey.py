"""What a change will do, when there is no room to keep how the files are now."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from att.confine_errors import FileUnavailable
from att.problems import Problem
from att.store.errors import DiskFull
from att.workflow.changes import Change, ChangeTest
from att.workflow.survey import survey
from tests.att.rooms import on_a_loop


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EACCES, FileUnavailable)]
)
@on_a_loop
async def test_what_cannot_be_kept_is_told_and_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Problem]
) -> None:
    project, place = tmp_path / "project", tmp_path / "changes" / "run"
    project.mkdir()
    (project / "a.txt").write_text("one")

    def refused(path: Path, data: bytes) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", refused)
    ask = ChangeTest(project_id="p", message="m", changes=[Change(path="a.txt", content="two")])
    with pytest.raises(kind) as caught:
        await survey(project, place, ask)
    assert os.strerror(number) in caught.value.detail
    assert (project / "a.txt").read_text() == "one"
