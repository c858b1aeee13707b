"""The examples in `systemd/` are what is generated now."""

from __future__ import annotations

from pathlib import Path

import pytest

from att.service.kept import kept, main
from att.service.marking import Standing, examine

FOLDER = Path(__file__).parents[3] / "systemd"


@pytest.mark.parametrize("name", kept())
def test_a_kept_file_equals_what_is_generated(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == kept()[name], "run: python -m att.service.kept systemd"


def test_nothing_else_is_kept() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(kept())


def test_they_are_written_anew_by_one_call(tmp_path: Path) -> None:
    main(tmp_path)
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == kept()
    assert {examine(text).standing for text in kept().values()} == {Standing.OURS}
