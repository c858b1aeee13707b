"""A small daemon that speaks with its launcher through today's own client (`supervisor`), for the tests of versions.

It answers HTTP on the shared socket: /run starts an app that writes and ends, and tells all that came of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from supervisor.keeper import SpawnOrder
from supervisor.launcher_keeper import LauncherKeeper
from supervisor.parent import Parent
from tests.supervisor.test_launcher_keeper import Ringful
from tests.support import eventually

HOME = Path(os.environ["ATT_HOME"])


class Linked:
    def __init__(self, parent: Parent) -> None:
        self.parent, self.heard = parent, []
        self.leave = asyncio.Event()
        self.link = parent.link(self.heard.append, self.leave.set)
        self.take = Ringful()
        self.keeper = LauncherKeeper("test-versions", lambda _log: self.take, self.link)

    async def health(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = {"status": "ok", "release": self.parent.release, "boot_id": self.parent.boot_id}
        await answer(reader, writer, lambda _path: said)

    async def api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer, self.served)

    async def served(self, path: str) -> dict[str, Any]:
        if path == "/run":
            return await self.run()
        return {"pid": os.getpid(), "heard": self.heard}

    async def run(self) -> dict[str, Any]:
        swept = await self.keeper.sweep()
        port = await self.keeper.listen("app", "127.0.0.1", 0)
        command = [sys.executable, "-c", "import time; print('hello'); time.sleep(300)"]
        order = SpawnOrder(
            "run-1", tuple(command), HOME, {**os.environ, "PYTHONUNBUFFERED": "1"}, "app", "app"
        )
        spawned = await self.keeper.spawn(order)
        await eventually(lambda: self.take.of("run-1") == "hello\n")
        members = await self.keeper.members("run-1")
        sent = await self.keeper.signal("run-1", signal.SIGTERM)
        ended = await self.keeper.exited("run-1")
        cleared = await self.keeper.clear("run-1", 0.1)
        await self.keeper.release("run-1")
        known = [run.run_id for run in await self.keeper.runs()]
        await self.keeper.acknowledge("run-1")
        return {
            "swept": swept.ended,
            "port": port > 0,
            "first": members[0] == spawned.pid,
            "sent": sent,
            "signal": ended.signal,
            "killed": cleared.killed,
            "known": known,
            "left": [run.run_id for run in await self.keeper.runs()],
        }


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, served: Any) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    said = served(head.split(b" ")[1].decode())
    try:
        body = json.dumps(await said if asyncio.iscoroutine(said) else said).encode()
    except Exception as error:  # told to the test
        body = json.dumps({"failed": repr(error)}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def main() -> None:
    parent = Parent.find(os.environ)
    assert parent is not None
    with (HOME / "births.ndjson").open("a") as file:
        file.write(json.dumps({"pid": os.getpid()}) + "\n")
    linked = Linked(parent)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, linked.leave.set)
    await asyncio.start_unix_server(linked.health, str(parent.health_socket))
    await asyncio.start_server(linked.api, sock=parent.listener)
    await linked.leave.wait()


if __name__ == "__main__":
    asyncio.run(main())
