"""A real daemon with one project, for the clients of others."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.daemon import RunningDaemon, running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("interop") / "home") as found:
        found.project("demo", [sys.executable, "-c", "import time; time.sleep(600)"])
        yield found
