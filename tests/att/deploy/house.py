"""The runtime's house with the workbench's long work and the deploy room, and small apps in versions."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from att.deploy.deploys import Deploys
from att.deploy.models import BuildArtefact, RollBack, RunDeploy
from att.runtime import nat
from att.workflow.models import Run
from att.workflow.runs import Runs
from tests.att.runtime.house import ME, House, open_house
from tests.support import eventually

APP = """
import asyncio, os, pathlib
VERSION = {version!r}
HEALTH = {health}
asked = pathlib.Path({asked!r})
if {dies}:
    raise RuntimeError("it cannot begin")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({{"type": message["type"] + ".complete"}})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/health":
        status = HEALTH
    else:
        status = 200
        with asked.open("a") as file:
            file.write(VERSION + "\\n")
    body = VERSION.encode()
    await send({{"type": "http.response.start", "status": status, "headers": [(b"content-length", str(len(body)).encode())]}})
    await send({{"type": "http.response.body", "body": body}})
"""
PROBES = """
[[runtime.probe]]
kind = "http"
use = ["startup", "readiness", "liveness"]
path = "/health"
period = 0.2
"""
PLAIN = """
import http.server, pathlib, sys, os
VERSION = {version!r}
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({health} if self.path == "/health" else 200)
        self.end_headers()
        self.wfile.write(VERSION.encode())
    def log_message(self, *words): pass
if {dies}:
    sys.exit(3)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@dataclass
class Bench:
    """One life: the house with the deploy room on top."""

    house: House
    runs: Runs
    deploys: Deploys
    folders: dict[str, Path] = field(default_factory=dict)

    async def project(self, name: str = "demo", serve: str = "socket", port: int = 0) -> Path:
        folder = self.house.home / "projects" / name
        folder.mkdir(parents=True)
        if serve == "socket":
            command = [sys.executable, "-m", "att_serve", "server:app"]
            settings = f'serve = "socket"\nenv = {{ PYTHONPATH = "{nat.SHIM}" }}\nstop_grace = 5\n'
        else:
            command, settings = [sys.executable, "server.py", "{port}"], "stop_grace = 5\n"
        text = f"[runtime]\ncommand = {command!r}\nport = {port}\nrestart_delays = [0.0, 0.05]\n{settings}{PROBES}"
        (folder / "att.toml").write_text(text.replace("'", '"'))
        self.folders[name] = folder
        self.version("1", name=name)
        from att.project.models import CreateProject

        await self.house.projects.create(CreateProject(name=name, path=str(folder)), ME)
        return folder

    def version(self, version: str, *, name: str = "demo", health: int = 200, dies: bool = False) -> None:
        """Change the project's files to another version."""
        folder = self.folders[name]
        program = APP if 'serve = "socket"' in (folder / "att.toml").read_text() else PLAIN
        asked = str(self.asked(name))
        (folder / "server.py").write_text(
            program.format(version=version, health=health, dies=dies, asked=asked)
        )

    def asked(self, name: str = "demo") -> Path:
        return self.house.home / f"asked-{name}"

    async def ended(self, run: Run) -> Run:
        return await self.runs.wait(run.run_id, 50)

    async def build(self, name: str = "demo", **more: object) -> Run:
        return await self.ended(await self.deploys.build(BuildArtefact(project_id=name, **more), ME))  # type: ignore[arg-type]

    async def deploy(self, name: str = "demo", **more: object) -> Run:
        return await self.ended(await self.deploys.run(RunDeploy(project_id=name, **more), ME))  # type: ignore[arg-type]

    async def out(self, version: str, name: str = "demo", **more: object) -> Run:
        """This version, built and deployed."""
        self.version(version, name=name)
        return await self.deploy(name, build=True, **more)

    async def back(self, name: str = "demo", **more: object) -> Run:
        return await self.ended(await self.deploys.rollback(RollBack(project_id=name, **more), ME))  # type: ignore[arg-type]

    async def says(self, name: str = "demo") -> str:
        status = await self.house.runtime.status(name)
        return await asyncio.to_thread(fetch, status.port or 0)

    async def pids(self, name: str = "demo") -> list[int]:
        return [run.pid or 0 for run in (await self.house.runtime.status(name)).runs]


def fetch(port: int, path: str = "/") -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@asynccontextmanager
async def open_bench(home: Path) -> AsyncIterator[Bench]:
    async with open_house(home) as house:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ATT_")}
        runs = Runs(house.store, house.projects)
        deploys = Deploys(home, house.store, house.projects, house.runtime, runs, house.events, inherited)
        await deploys.clear()
        await runs.open()
        await deploys.settle()
        try:
            yield Bench(house, runs, deploys)
        finally:
            await deploys.aclose()
            await runs.aclose()


def on_bench(test: Callable[[Bench], Awaitable[None]]) -> Callable[[Path], None]:
    """A test that gets a bench of its own."""

    async def run(home: Path) -> None:
        async with open_bench(home) as bench:
            await test(bench)

    @wraps(test)
    def wrapper(tmp_path: Path) -> None:
        asyncio.run(run(tmp_path / "home"))

    del wrapper.__wrapped__  # type: ignore[attr-defined]  # pytest would look for a fixture `bench`
    return wrapper


class Load:
    """Clients that ask without a pause: two with a connection for each request, two that keep their own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(kept,)) for kept in (False, True) * 2]

    def _ask(self, kept: bool) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._enough.is_set():
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                self.answers.append(answer.read().decode())
                if answer.status != 200:
                    self.failures.append(f"{answer.status}")
            except (OSError, HTTPException) as fault:
                self.failures.append(f"{'kept' if kept else 'new'}: {fault!r}")
                connection.close()
            if not kept:
                connection.close()
        connection.close()

    async def more(self, count: int = 30) -> None:
        """Returns when so many further requests have been answered."""
        wanted = len(self.answers) + count
        await eventually(lambda: len(self.answers) >= wanted or bool(self.failures), 20)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(40)
