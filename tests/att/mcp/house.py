"""The MCP door on a real socket of this machine, in the loop of the test, with the rooms of the test's choice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
from aiohttp import web
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from att.access import Access, Grant
from att.catalogue import Catalogue, Scope
from att.config import Settings
from att.event.log import EventLog
from att.http.app import make_app
from att.http.routes import Audited
from att.http.server import Runner, make_runner
from att.mcp.door import Door, open_door
from att.mcp.offer import Offer
from att.mcp.operations import room as mcp_room
from att.metrics import Metrics
from att.project.operations import room as project_room
from att.project.projects import Projects
from tests.att.mcp import works
from tests.att.rooms import Rooms, rooms

OWNER, READER, WRITER = (
    "att_test-token-of-the-owner",
    "att_test-token-of-a-reader",
    "att_test-token-of-another",
)
MODES = ["legacy", "2026-07-28"]


@dataclass
class House:
    rooms: Rooms
    works: works.Works
    app: web.Application
    runner: Runner
    door: Door
    url: str
    metrics: Metrics
    access: Access
    audited: list[Audited] = field(default_factory=list)

    @property
    def streams(self) -> int:
        """How many answers are open whose clients are waited with for their end."""
        opened = self.door.mounted._open
        return opened.result().waiting if opened is not None and opened.done() else 0

    @asynccontextmanager
    async def client(
        self, mode: str = "auto", token: str = OWNER, query: str = "", **options: Any
    ) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(
                streamable_http_client(f"{self.url}/mcp{query}", http_client=http), mode=mode, **options
            ) as client,
        ):
            yield client

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession(self.url) as session:
            yield session


@asynccontextmanager
async def house(home: Path, **settings: Any) -> AsyncIterator[House]:
    async with rooms(home) as opened:
        given = Settings(home=home, listen="127.0.0.1:0", **settings)
        access = Access(
            [
                Grant.of("owner", OWNER),
                Grant.of("reader", READER, {Scope.READ}),
                Grant.of("writer", WRITER, {Scope.WRITE}),
            ]
        )
        catalogue = Catalogue((project_room, works.room, mcp_room))
        work, metrics, audited = works.Works(), Metrics(), list[Audited]()
        offer = Offer(catalogue, given)
        known = {Projects: opened.projects, EventLog: opened.events, works.Works: work, Offer: offer}
        bound = catalogue.bind(known)
        app = make_app(bound, access, given, metrics=metrics, page=home / "page.html")
        door = Door(bound, access, given, offer, opened.events, metrics, audited.append)
        open_door(app, door)
        runner = make_runner(app, given)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield House(opened, work, app, runner, door, url, metrics, access, audited)
        finally:
            work.gate.set()
            await runner.cleanup()
