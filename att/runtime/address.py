"""Where the current app listens: its port, and the listening socket that the keeper holds for it when it wants one."""

from __future__ import annotations

import asyncio
import contextlib

from att.runtime import ports, preflight, private
from att.runtime.preflight import Ready
from supervisor import errors as supervision
from supervisor.keeper import Keeper
from supervisor.spec import AppSpec


class Address:
    """One for the runtime: there is one app at a time."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._socket: tuple[str, str, int] | None = None

    def take(self, spec: AppSpec) -> None:
        """The app of an earlier life goes on where it listens."""
        if spec.socket:
            self._socket = spec.socket, spec.host, spec.port

    @property
    def held_port(self) -> int:
        return self._socket[2] if self._socket is not None else 0

    async def port(self, ready: Ready, ours: AppSpec | None) -> int:
        """A port the app can have. One that `ours` holds, which is about to be stopped, counts as free."""
        held = ours is not None and ours.port == ready.place.port
        held = held or (self._socket is not None and self._socket[1:] == (ready.place.host, ready.place.port))
        return ready.place.port if held else await asyncio.to_thread(preflight.check_port, ready)

    async def spec(self, ready: Ready, port: int) -> AppSpec:
        """What to run, with the socket held where one is wanted."""
        if ready.settings.serve != "socket":
            await self.close()
            return ready.spec(port)
        name = ready.place.project_id
        if self._socket is not None and self._socket != (name, ready.place.host, port):
            await self.close()
        try:
            port = await self._keeper.listen(name, ready.place.host, port)
        except supervision.CannotListen as fault:
            raise await asyncio.to_thread(ports.in_use, ready.place.host, port) from fault
        self._socket = (name, ready.place.host, port)
        return ready.spec(port, name, await asyncio.to_thread(private.path, ready.place.tmp))

    def holds(self, ready: Ready) -> bool:
        """Whether the socket that is held is the one that this version wants, so that it can begin beside the present one."""
        if ready.settings.serve != "socket" or self._socket is None:
            return False
        name, host, port = self._socket
        return (name, host) == (ready.place.project_id, ready.place.host) and ready.place.port in (0, port)

    async def close(self) -> None:
        """Nothing is held any more."""
        if self._socket is not None:
            name, self._socket = self._socket[0], None
            with contextlib.suppress(supervision.UnknownSocket):
                await self._keeper.close_socket(name)
