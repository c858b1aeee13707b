"""The self-check loads all of the code that this installation can load, and names what it cannot."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest

from att import selfcheck


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """As if these packages were not installed: what of ours needs them cannot be imported."""
    spec, load = importlib.util.find_spec, importlib.import_module

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name in missing else spec(name, package)

    def import_module(name: str, package: str | None = None) -> Any:
        if name == "att.store.postgres":
            raise ImportError(f"No module named {missing[0]!r}")
        return load(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(importlib, "import_module", import_module)


def test_without_the_extra_for_postgresql_all_the_rest_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "asyncpg", "greenlet")
    assert selfcheck.load_everything() > 100


def test_a_half_installed_extra_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "greenlet")
    with pytest.raises(selfcheck.Broken, match="postgres cannot be loaded"):
        selfcheck.load_everything()
