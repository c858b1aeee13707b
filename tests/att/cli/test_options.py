"""What is typed becomes what is sent: here, paths of the folder that the command was typed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from att.cli.options import type_for
from att.fields import shape
from att.release.models import StageRelease


def typed(field: str, value: str) -> object:
    info = StageRelease.model_fields[field]
    return type_for(shape(info.annotation), info).convert(value, None, None)


def test_a_source_is_a_path_of_this_folder_where_it_begins_like_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert typed("source", ".") == str(tmp_path)
    assert typed("source", "../att") == f"{tmp_path}/../att"
    assert typed("source", "~/att") == "/home/me/att"
    assert typed("repository", "clone") == f"{tmp_path}/clone"


@pytest.mark.parametrize("name", ["main", "v1.2", "feature/x", "6e70936", "HEAD~1", "/opt/att"])
def test_a_commit_branch_tag_or_absolute_path_is_sent_as_it_is(name: str) -> None:
    assert typed("source", name) == name
