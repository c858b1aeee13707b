"""The session of a client that opened one (protocol versions before 2026-07-28), kept alive over restarts of the daemon.

A daemon that was restarted does not know the session any more. Then it is opened again with the parameters that the client had
given, what the client had subscribed to is asked for again, and the client is told that the lists may have changed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from att.mcp import rpc
from att.mcp.rpc import Kind
from att.mcp.wire import Broken, Hold, NotSent, Wire

_QUICK = 10.0  # seconds for what is answered at once
_LISTS = ("tools", "resources", "prompts")


class SessionGone(Exception):
    """The daemon does not know the session."""


class Session:
    """Its id and version, how it was opened, and the stream of what the server says by itself."""

    def __init__(
        self, wire: Wire, write: Callable[[dict[str, Any]], None], say: Callable[[str], None]
    ) -> None:
        self._wire = wire
        self._write = write
        self._say = say
        self._renewing = threading.Lock()
        self._params: dict[str, Any] | None = None
        self._capabilities: dict[str, Any] = {}
        self._version: str | None = None
        self._kept: dict[str, dict[str, Any]] = {}  # what must be asked again in a new session
        self._hold = Hold()
        self._closing = threading.Event()
        self._listener: threading.Thread | None = None
        self.id: str | None = None
        self.generation = 0

    @property
    def open(self) -> bool:
        return self._params is not None

    def opened(self, params: dict[str, Any], result: dict[str, Any], session: str | None) -> None:
        """The client has opened one; what was before is over."""
        self._params = params
        self._kept.clear()
        self._take(result, session)

    def _take(self, result: dict[str, Any], session: str | None) -> None:
        self.id = session
        version, capabilities = result.get("protocolVersion"), result.get("capabilities")
        self._version = version if isinstance(version, str) else None
        self._capabilities = capabilities if isinstance(capabilities, dict) else {}
        self.generation += 1

    def headers(self) -> dict[str, str]:
        found = {"Mcp-Session-Id": self.id, "MCP-Protocol-Version": self._version}
        return {name: value for name, value in found.items() if value is not None}

    def remember(self, message: dict[str, Any]) -> None:
        """A request that was done and that a new session must be told again."""
        method, params = message["method"], rpc.params_of(message)
        if rpc.own_version(message) is not None:
            return
        if method == "logging/setLevel":
            self._kept[method] = message
        elif method == "resources/subscribe":
            self._kept[f"subscribe {params.get('uri')}"] = message
        elif method == "resources/unsubscribe":
            self._kept.pop(f"subscribe {params.get('uri')}", None)

    def renew(self, seen: int) -> None:
        """Open it again, unless somebody has since `seen`. NotSent when that fails."""
        with self._renewing:
            if self.generation != seen or self._params is None:
                return
            opening = {"jsonrpc": "2.0", "id": "att-renew", "method": "initialize", "params": self._params}
            try:
                result, session = self._call(opening, {})
                if result is None:
                    raise NotSent("the session cannot be opened again")
                self._take(result, session)
                self._call({"jsonrpc": "2.0", "method": "notifications/initialized"}, self.headers())
                for message in list(self._kept.values()):
                    self._call({**message, "id": "att-renew"}, self.headers())
            except (Broken, ValueError) as error:
                raise NotSent(str(error)) from None
        self._say("ATT was restarted; the session goes on")
        self._hold.drop()  # the stream of the old session
        for name in _LISTS:
            if (self._capabilities.get(name) or {}).get("listChanged"):
                self._write({"jsonrpc": "2.0", "method": f"notifications/{name}/list_changed"})

    def _call(
        self, message: dict[str, Any], headers: dict[str, str]
    ) -> tuple[dict[str, Any] | None, str | None]:
        """The result, if there is one, and the id of the session that came with it."""
        body = json.dumps(message).encode()
        with self._wire.ask("POST", body, headers, Hold(), _QUICK) as reply:
            if reply.status >= 300 or "id" not in message:
                return None, None
            if reply.kind == "text/event-stream":
                told = [json.loads(event.data) for event in rpc.events(reply.readline)]
            else:
                told = [json.loads(reply.read())]
        for each in told:
            if rpc.kind_of(each) is Kind.RESPONSE and isinstance(each.get("result"), dict):
                return each["result"], reply.session
        return None, None

    # ---- what the server says by itself

    def listen(self) -> None:
        """Pass on what the server says by itself, from now on."""
        if self._listener is None:
            self._listener = threading.Thread(target=self._listen, daemon=True)
            self._listener.start()

    def _listen(self) -> None:
        pause = 0.1
        while not self._closing.wait(pause if pause > 0.1 else 0):
            seen, self._hold = self.generation, Hold()
            try:
                if not self._read():
                    return
                pause = 0.1
                continue
            except SessionGone:
                with suppress(NotSent):
                    self.renew(seen)
            except (NotSent, Broken, ValueError):
                pass
            pause = min(2.0, pause * 2)

    def _read(self) -> bool:
        """One stream to its end. False when the server has none."""
        if self.id is None:
            return False
        with self._wire.ask("GET", None, self.headers(), self._hold) as reply:
            if reply.status == 404:
                raise SessionGone
            if reply.status in (400, 401, 403, 405, 406):
                return False
            if reply.status != 200:
                raise NotSent(str(reply.status))
            for event in rpc.events(reply.readline):
                message = json.loads(event.data)
                if rpc.kind_of(message) is not Kind.NONSENSE:
                    self._write(message)
        return True

    def close(self) -> None:
        """The client has gone: the daemon need not keep the session."""
        self._closing.set()
        self._hold.drop()
        if self.id is not None:
            with suppress(NotSent, Broken), self._wire.ask("DELETE", None, self.headers(), Hold(), 1.0):
                pass
