"""Connects to the API again and again, each time with one short request, and never waits for one before it begins the next."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from dataclasses import dataclass, field

EVERY = 0.02
PATIENCE = 60.0
REQUEST = b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"


@dataclass
class Asking:
    begun: float
    said: bytearray = field(default_factory=bytearray)
    sent: bool = False


class Prober(threading.Thread):
    """`refused` must stay 0. `cut`: taken by a daemon that then died before it answered, as nobody can help."""

    def __init__(self, port: int, every: float = EVERY) -> None:
        super().__init__(daemon=True, name="prober")
        self.refused = self.cut = self.late = self.unwell = 0
        self.waits: list[tuple[float, float]] = []  # begun, seconds
        self.words: list[str] = []
        self._port, self._every = port, every
        self._over = threading.Event()
        self._open: dict[socket.socket, Asking] = {}
        self._chooser = selectors.DefaultSelector()

    @property
    def asked(self) -> int:
        return len(self.waits) + self.refused + self.cut + self.late + self.unwell

    def run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set() or self._open:
            now = time.monotonic()
            if now >= due and not self._over.is_set():
                due = max(due + self._every, now)
                self._begin(now)
            pause = self._every if self._over.is_set() else max(0.0, due - time.monotonic())
            for key, mask in self._chooser.select(pause):
                self._ready(key.fileobj, mask)  # type: ignore[arg-type]
            self._give_up(time.monotonic())
        self._chooser.close()

    def end(self) -> None:
        """No more; those under way are waited for."""
        self._over.set()
        self.join(PATIENCE + 5)

    def _begin(self, now: float) -> None:
        link = socket.socket()
        link.setblocking(False)
        link.connect_ex(("127.0.0.1", self._port))
        self._open[link] = Asking(now)
        self._chooser.register(link, selectors.EVENT_WRITE)

    def _ready(self, link: socket.socket, mask: int) -> None:
        asking = self._open[link]
        try:
            if mask & selectors.EVENT_WRITE:
                link.send(REQUEST % self._port)
                self._chooser.modify(link, selectors.EVENT_READ)
                return
            data = link.recv(65536)
        except ConnectionRefusedError:
            self.refused += 1
            self._close(link, f"refused at {time.strftime('%H:%M:%S')}")
            return
        except OSError as error:
            self.cut += 1
            self._close(link, f"cut: {error}")
            return
        if data:
            asking.said += data
        elif asking.said.startswith(b"HTTP/1.1 200"):
            self.waits.append((asking.begun, time.monotonic() - asking.begun))
            self._close(link)
        elif asking.said:
            self.unwell += 1
            self._close(link, bytes(asking.said[-200:]).decode(errors="replace"))
        else:
            self.cut += 1
            self._close(link, "cut: nothing came")

    def _give_up(self, now: float) -> None:
        for link in [link for link, asking in self._open.items() if now - asking.begun > PATIENCE]:
            self.late += 1
            self._close(link, "no answer in time")

    def _close(self, link: socket.socket, word: str = "") -> None:
        if word and len(self.words) < 50:
            self.words.append(word)
        self._chooser.unregister(link)
        link.close()
        del self._open[link]
