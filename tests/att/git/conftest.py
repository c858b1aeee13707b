"""No test of this folder reads the configuration of whoever runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.att.git.house import alone


@pytest.fixture(autouse=True)
def nobodys_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, tmp_path / "user")
