"""Serves an ASGI app behind the listening socket that ATT holds. Put on the app's PYTHONPATH; imports nothing of ours.

`python -m att_serve MODULE:ATTRIBUTE [--factory]`, with `ATT_PRIVATE_SOCKET` (a path) and `ATT_LISTEN_FD` (a descriptor) set.

Two versions of an app may live on one listening socket at the same time, so a new one must not take a connection before it is known
to be well. It is served on its private socket first, where it is asked for its health, and takes connections from the shared one
only when it is told so by SIGUSR1. uvicorn, when it ends, closes what it has accepted but not read, and every connection
that is between two requests, and so fails requests that are on their way. Here it stops accepting first, answers for a moment more,
and each answer says that the connection is closed after it.
"""

import argparse
import asyncio
import os
import signal
import socket
from pathlib import Path

import uvicorn

ON_ITS_WAY = 0.1  # seconds in which what has been accepted is read
TICK = 0.02
IDLE = 1.0  # seconds in which a connection between two requests may still bring one
BACKLOG = 1024


class Leaving:
    """The app; its answers close their connections once it is `on`."""

    def __init__(self, app):
        self.app = app
        self.on = False

    async def __call__(self, scope, receive, send):
        async def last(message):
            if self.on and message["type"] == "http.response.start":
                headers = [(k, v) for k, v in message.get("headers", ()) if k.lower() != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, last if scope["type"] == "http" else send)


class Server(uvicorn.Server):
    def __init__(self, config, shared):
        super().__init__(config)
        self._shared = shared
        self._opening = None
        self._leaving = None

    async def startup(self, sockets=None):
        self._leaving = self.config.loaded_app = Leaving(self.config.loaded_app)
        await super().startup(sockets=sockets)
        if self.started:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._open)

    def _open(self):
        if self._opening is None and not self.should_exit:
            self._opening = asyncio.ensure_future(self._take_connections())

    async def _take_connections(self):
        config = self.config
        loop = asyncio.get_running_loop()

        def protocol():
            return config.http_protocol_class(
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        self.servers.append(await loop.create_server(protocol, sock=self._shared, backlog=BACKLOG))

    async def shutdown(self, sockets=None):
        if self._opening is not None:
            await asyncio.wait([self._opening])
        self._leaving.on = True
        loop = asyncio.get_running_loop()
        for server in self.servers[1:]:
            if isinstance(loop, asyncio.SelectorEventLoop):
                # Not closed yet: asyncio drops a connection that it has accepted when the server is closed before its next turn.
                for held in server.sockets:
                    loop.remove_reader(held.fileno())
            else:
                server.close()
        await asyncio.sleep(ON_ITS_WAY)
        for _ in range(int(IDLE / TICK)):
            if not self._may_still_ask():
                break
            await asyncio.sleep(TICK)
        await super().shutdown(sockets)

    def _may_still_ask(self):
        return not self.force_exit and any(map(_waits, self.server_state.connections))


def _waits(connection):
    """Whether a connection is between two requests."""
    cycle = getattr(connection, "cycle", None)
    return cycle is None or getattr(cycle, "response_complete", False)


def _private(path):
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    Path(path).unlink(missing_ok=True)
    held.bind(path)
    return held


def main():
    parser = argparse.ArgumentParser(prog="python -m att_serve")
    parser.add_argument("app")
    parser.add_argument("--factory", action="store_true")
    parser.add_argument("--grace", type=int, default=9)
    given = parser.parse_args()
    shared = socket.socket(fileno=int(os.environ.get("ATT_LISTEN_FD", "3")))
    shared.setblocking(False)
    config = uvicorn.Config(
        given.app, factory=given.factory, timeout_graceful_shutdown=given.grace, lifespan="auto"
    )
    config.backlog = BACKLOG
    Server(config, shared).run(sockets=[_private(os.environ["ATT_PRIVATE_SOCKET"])])


if __name__ == "__main__":
    main()
