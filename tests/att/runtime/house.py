"""The runtime room with all its real collaborators, in a home of its own, for tests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from hashlib import sha256
from pathlib import Path

from att.catalogue import Call
from att.event.log import EventLog
from att.event.models import Event, ListEvents, Order
from att.project.models import CreateProject, Project
from att.project.projects import Projects
from att.runtime.logs import Logs
from att.runtime.preflight import find_config
from att.runtime.service import Runtime
from att.store.store import Store, open_store
from supervisor.local import LocalKeeper
from supervisor.logs.values import LogSettings

ME = Call(request_id="req-1", actor="tester")

SERVER = """
import http.server, os, pathlib, signal, subprocess, sys, time

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("GREETING", "hello").encode())
    def log_message(self, *words):
        print("request", self.path)

pathlib.Path(os.environ["TMPDIR"], "left-behind").write_text(os.environ.get("SECRET", ""))
print("starting on", sys.argv[1])
print("to stderr", file=sys.stderr)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("ready")
server.serve_forever()
"""


@dataclass
class House:
    home: Path
    store: Store
    events: EventLog
    projects: Projects
    logs: Logs
    keeper: LocalKeeper
    runtime: Runtime

    async def project(self, name: str, settings: str = "", server: str = SERVER) -> Project:
        """A project that runs `server` on a free port."""
        folder = self.home / "projects" / name
        folder.mkdir(parents=True)
        (folder / "server.py").write_text(server)
        command = f'command = ["{sys.executable}", "server.py", "{{port}}"]\nport = 0\nrestart_delays = [0.0, 0.05]\n'
        (folder / "att.toml").write_text(f"[runtime]\n{command}{settings}\n")
        return await self.projects.create(CreateProject(name=name, path=str(folder)), ME)

    async def nat_project(self, folder: Path) -> Project:
        return await self.projects.create(CreateProject(name=folder.name, path=str(folder)), ME)

    async def told(self, event_type: str) -> list[Event]:
        """The events of a type, oldest first."""
        return (await self.events.page(ListEvents(type=[event_type], order=Order.OLDEST))).events

    async def lines(self, project_id: str) -> list[str]:
        page = await (await self.runtime.log(project_id)).page(None, 1000)
        return [line.text for line in page.lines]


@asynccontextmanager
async def open_house(home: Path, environ: dict[str, str] | None = None) -> AsyncIterator[House]:
    """Up and down as the daemon does it; the wanted app is not resumed by itself."""
    (home / "projects").mkdir(parents=True, exist_ok=True)
    store = await open_store(str(home / "att.db"))
    events = EventLog(store)
    projects = Projects(store, events, home=home, find_config=find_config)
    logs = Logs(home / "logs", LogSettings(ring_bytes=1 << 20, keep_free_bytes=0, keep_free_share=0))
    keeper = LocalKeeper(sha256(str(home).encode()).hexdigest()[:16], logs, reap_strays=False)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ATT_")}
    runtime = Runtime(home, projects, store, events, keeper, logs, {**inherited, **(environ or {})})
    try:
        await runtime.recover()
        yield House(home, store, events, projects, logs, keeper, runtime)
    finally:
        await runtime.aclose()
        await keeper.aclose()
        await logs.aclose()
        await events.aclose()
        await store.aclose()


def in_house(test: Callable[[House], Awaitable[None]]) -> Callable[[Path], None]:
    """A test that gets a house of its own."""

    async def run(home: Path) -> None:
        async with open_house(home) as house:
            await test(house)

    @wraps(test)
    def wrapper(tmp_path: Path) -> None:
        asyncio.run(run(tmp_path / "home"))

    del wrapper.__wrapped__  # type: ignore[attr-defined]  # pytest would look for a fixture `house`
    return wrapper
