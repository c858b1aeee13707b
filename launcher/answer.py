"""The last resort: the launcher answers HTTP itself, with 503 and the reason, while no daemon can.

Every request gets the same answer, as problem details, and the connection is closed. Bounded in connections
and in time; nothing that a client sends is looked at beyond the end of its head.
"""

from __future__ import annotations

from launcher.poller import READ, Poller
from launcher.protocol import notation, sockets
from launcher.protocol.sockets import Socket

CONNECTIONS = 64
PATIENCE = 5.0
HEAD_LIMIT = 1 << 14


def response(reason: str) -> bytes:
    body = notation.dumps(
        {
            "type": "about:blank",
            "title": "The daemon is not running",
            "status": 503,
            "detail": reason,
            "code": "daemon_not_running",
            "hint": "launcher.ndjson and lives/ in the home tell why; SIGHUP to the launcher tries again.",
        }
    ).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: 30\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class Answerer:
    """Answers on `listener` from `start` to `stop`."""

    def __init__(self, poller: Poller, listener: Socket) -> None:
        self._poller, self._listener = poller, listener
        self._open: dict[int, _Connection] = {}
        self._response = b""
        self.reason = ""
        self.active = False

    def start(self, reason: str) -> None:
        self._response = response(reason)
        self.reason, self.active = reason, True
        self._poller.watch(self._listener.fileno(), READ, self._accept)

    def stop(self) -> None:
        if not self.active:
            return
        self.active = False
        self._poller.forget(self._listener.fileno())
        for connection in list(self._open.values()):
            connection.close()

    def _accept(self, _mask: int) -> None:
        if len(self._open) >= CONNECTIONS:
            next(iter(self._open.values())).close()
        try:
            client = sockets.accepted(self._listener)
        except OSError:
            return  # it has gone again, or there is no descriptor left: the next one is tried
        _Connection(self._poller, client, self._response, self._open)


class _Connection:
    def __init__(
        self, poller: Poller, client: Socket, response: bytes, among: dict[int, _Connection]
    ) -> None:
        client.setblocking(False)
        self._poller, self._client, self._response, self._among = poller, client, response, among
        self._head = b""
        self._fd = client.fileno()
        self._timer = poller.after(PATIENCE, self.close)
        among[self._fd] = self
        poller.watch(self._fd, READ, self._readable)

    def _readable(self, _mask: int) -> None:
        try:
            part = self._client.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        self._head = (self._head + part)[-HEAD_LIMIT:]
        if part and b"\r\n\r\n" not in self._head:
            return
        if part:
            try:
                self._client.send(self._response)
                self._client.shutdown(sockets.SHUT_WR)
            except OSError:
                self.close()
                return
            self._head = b""
            return  # closed by the client, or at the end of our patience: a close now could cut the answer
        self.close()

    def close(self) -> None:
        self._timer.cancel()
        self._poller.forget(self._fd)
        self._among.pop(self._fd, None)
        self._client.close()
