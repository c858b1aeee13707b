from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.att.http.house import Served, served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A house that the tests of a file share."""
    with served(tmp_path_factory.mktemp("home"), body_limit=2000) as house:
        house.ask("POST", "/things", {"name": "lamp", "tags": ["a", "b"]})
        yield house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Served]:
    """A house of one's own, with one thing in it."""
    with served(tmp_path) as house:
        house.ask("POST", "/things", {"name": "lamp"})
        yield house
