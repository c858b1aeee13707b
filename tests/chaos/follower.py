"""A follower of the app's log over HTTP that comes back by its cursor, whatever becomes of its connection."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable

from tests.chaos.ledger import Ledger

AGAIN = 0.02


class Follower(threading.Thread):
    """`token` is asked for at each connection. `refused` counts connections that nobody took."""

    def __init__(self, port: int, path: str, token: Callable[[], str]) -> None:
        super().__init__(daemon=True, name="follower")
        self.ledger = Ledger()
        self.cursor = "oldest"
        self.connections = self.refused = 0
        self.answers: dict[int, int] = {}
        self.trouble = ""
        self._taking = threading.Lock()
        self._port, self._path, self._token = port, path, token
        self._over = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._follow()
            except ConnectionRefusedError:
                self.refused += 1
            except (OSError, http.client.HTTPException, AttributeError):
                pass  # AttributeError: http.client, when the connection is closed under it by `end`
            except BaseException as error:
                self.trouble = f"the follower ended: {type(error).__name__}: {error}"
                raise
            self._over.wait(AGAIN)

    def place(self) -> tuple[str, Ledger]:
        """A cursor, and a ledger that goes on from it."""
        with self._taking:
            return self.cursor, self.ledger.after()

    def end(self) -> None:
        self._over.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(2)
        self.join(10)

    def _follow(self) -> None:
        connection = self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):
            self.connections += 1
            path = f"{self._path}?format=ndjson&cursor={self.cursor}"
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token()}"})
            answer = connection.getresponse()
            self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
            if answer.status != 200:
                return
            rest = b""
            while data := answer.read1(1 << 16):
                *whole, rest = (rest + data).split(b"\n")
                with self._taking:
                    for line in whole:
                        self._take(line)

    def _take(self, line: bytes) -> None:
        if not line:
            return
        told = json.loads(line)
        if "text" in told:
            self.ledger.take(told["run"], told["stream"], told["text"])
            self.cursor = told["cursor"]
        elif "lost" in told:
            self.ledger.gap(told)
