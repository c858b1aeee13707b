"""Has the tests keep everything in PostgreSQL instead of SQLite: `scripts/test -p tests.on_postgres tests/att/workflow`.

One server for the session, and a fresh database for each file `att.db` that a test would have made: whoever comes back to the
same home finds the same database. Both daemons of their own and rooms inside the tests' process are served. Tests that look into
the file itself, or start a program of their own to kill it, have nothing to look at then and fail.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import ExitStack
from pathlib import Path

from att.store.postgres import PostgresStore
from att.store.sqlite import SqliteStore
from att.store.store import Store
from tests import daemon
from tests.att.store.postgres_server import database, server

_held = ExitStack()
_urls: dict[Path, str] = {}
_numbers = itertools.count(1)


def url_of(file: Path) -> str:
    """The database that stands for `file`."""
    if not _urls:
        _urls[Path("/")] = _held.enter_context(server())
    file = file.absolute()
    if file not in _urls:
        _urls[file] = database(_urls[Path("/")], f"att{next(_numbers)}")
    return _urls[file]


async def _open(where: str, *, busy_timeout: float = 10.0, waiting_limit: int = 10_000) -> Store:
    url = url_of(Path(where))
    await asyncio.to_thread(Path(where).parent.mkdir, parents=True, exist_ok=True)  # SQLite makes it as well
    return await PostgresStore.open(url, busy_timeout=busy_timeout, waiting_limit=waiting_limit)


_environment = daemon.environment


def environment(home: Path, port: int, **variables: str) -> dict[str, str]:
    kept = _environment(home, port, **variables)
    return {"ATT_DATABASE": url_of(home / "att.db")} | kept


def pytest_configure() -> None:
    SqliteStore.open = _open  # type: ignore[method-assign,assignment]
    daemon.environment = environment


def pytest_unconfigure() -> None:
    _held.close()
