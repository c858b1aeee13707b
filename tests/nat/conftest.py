"""One start of the real NAT for each line, shared by all checks of the quick suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nat.prepared import LINES, Served


@pytest.fixture(scope="session", params=LINES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The sample app under `nat serve`, ready."""
    app = Served(
        tmp_path_factory.mktemp(f"nat-{request.param}") / "home", request.param, settings="stop_grace = 2"
    )
    try:
        app.start()
        yield app
    finally:
        app.close()
