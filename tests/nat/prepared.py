"""Prepared environments with the real NAT, and an app served from one for many checks.

They lie below `.cache/nat` of the repository (`scripts/test` makes them), or where ATT_NAT_ENVS says; each is a folder named
after the NAT line with the sample app and its `.venv`. A start of NAT costs some five seconds of CPU, so the quick suite makes
one for each line and asks it everything.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from att.runtime.models import RuntimeStatus
from tests.att.runtime.house import ME, House, open_house

T = TypeVar("T")
LINES = ("1.9", "1.4")
SECRET = "correct-horse-battery-staple"

WORKER = '''
import logging
from nat.front_ends.fastapi.fastapi_front_end_plugin_worker import FastApiFrontEndPluginWorker

class Worker(FastApiFrontEndPluginWorker):
    """A worker of the project's own: it tells how many filters the access log has."""
    def build_app(self):
        app = super().build_app()
        app.add_api_route("/filters", lambda: len(logging.getLogger("uvicorn.access").filters))
        return app
'''

CONFIG = """
general:
  front_end: {_type: fastapi, runner_class: own_worker.Worker}
workflow:
  _type: %s
  prefix: "${ECHO_SECRET}"
"""


def prepared(line: str) -> Path:
    """The folder of a prepared environment; skips the test when it was not made."""
    root = Path(os.environ.get("ATT_NAT_ENVS") or Path(__file__).parents[2] / ".cache" / "nat")
    folder = root / line
    if not (folder / ".venv" / "bin" / "nat").exists():
        pytest.skip(f"no environment with NAT {line}: python -m att.runtime.prepare {folder} --nat {line}")
    return folder


def make_project(
    home: Path, line: str, *, name: str = "echo", settings: str = "", kind: str = "echo"
) -> Path:
    """A project in `home` that uses the prepared environment of a NAT line."""
    folder = home / "projects" / name
    folder.mkdir(parents=True)
    source = prepared(line)
    shutil.copytree(
        source / "src", folder / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
    )
    shutil.copy(source / "pyproject.toml", folder)
    (folder / ".venv").symlink_to(source / ".venv")
    (folder / "own").mkdir()
    (folder / "own" / "own_worker.py").write_text(WORKER)
    (folder / "secret").write_text(f"{SECRET}\n")
    (folder / "config.yml").write_text(CONFIG % kind)
    env = f'env = {{ ECHO_SECRET = "${{file:secret}}", PYTHONPATH = "{folder / "own"}" }}'
    (folder / "att.toml").write_text(f"[runtime]\nport = 0\nstart_timeout = 110\n{env}\n{settings}\n")
    return folder


class Served:
    """A house in a thread of its own with one project; `do` runs a coroutine there."""

    def __init__(self, home: Path, line: str, **given: str) -> None:
        self.line = line
        self.home = home
        self.folder = make_project(home, line, **given)
        self.name = self.folder.name
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"nat {line}", daemon=True)
        self._thread.start()
        self._context: AbstractAsyncContextManager[House] = open_house(home)
        self.house = self.do(self._context.__aenter__())
        self.do(self.house.nat_project(self.folder))
        self.status: RuntimeStatus | None = None

    def do(self, work: Coroutine[Any, Any, T], timeout: float = 150) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def start(self) -> RuntimeStatus:
        self.status = self.do(self.house.runtime.start(self.name, ME, timeout=120))
        return self.status

    def now(self) -> RuntimeStatus:
        return self.do(self.house.runtime.status(self.name))

    def stop(self) -> RuntimeStatus:
        return self.do(self.house.runtime.stop(self.name, ME))

    def connection(self, timeout: float = 20) -> http.client.HTTPConnection:
        assert self.status is not None
        assert self.status.host is not None
        return http.client.HTTPConnection(self.status.host, self.status.port, timeout=timeout)

    def get(self, path: str) -> tuple[int, str]:
        connection = self.connection()
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def say(self, text: str, path: str = "/generate", timeout: float = 20) -> tuple[int, str]:
        connection = self.connection(timeout)
        connection.request("POST", path, json.dumps({"text": text}), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def lines(self, **filters: str) -> list[Any]:
        from supervisor.logs.values import Filters

        async def read() -> list[Any]:
            log = await self.house.runtime.log(self.name)
            return list((await log.page(None, 5000, filters=Filters(**filters))).lines)

        return self.do(read())

    def close(self) -> None:
        self.do(self._context.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
