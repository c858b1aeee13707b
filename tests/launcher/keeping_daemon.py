"""A daemon that has an app kept by its launcher and takes the app's output to a file, for the tests: `ATT_HOME/taken`.

On its first life it starts `ATT_HOME/app.py`; later ones find it running. How far the file goes is how far bytes were taken.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
from typing import Any

from launcher.protocol.channel import Channel, ClosedError
from launcher.protocol.messages import Message
from launcher.protocol.ring import Acks, RingReader, memory_file
from tests.launcher.fake_daemon import Fake

HOME = os.environ["ATT_HOME"]


class Keeping(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.late: list[Message] = []
        self.taken = open(os.path.join(HOME, "taken"), "ab")  # noqa: SIM115 -- for the whole life

    def ask(self, kind: str, fds: tuple[int, ...] = (), **fields: Any) -> tuple[Message, list[int]]:
        """One request, and its answer."""
        self.number += 1
        self.channel.send({"type": kind, "n": self.number, **fields}, fds)
        self.channel.socket.setblocking(True)
        try:
            while True:
                came = self.channel.receive()
                assert came is not None
                message, got = came
                if message["type"] == "reply" and message["n"] == self.number:
                    return message, got
                self.late.append(message)
        finally:
            self.channel.socket.setblocking(False)

    def spawn(self, run_id: str, command: list[str], **more: Any) -> Message:
        order = {
            "run_id": run_id,
            "number": 1,
            "keeper": os.environ["ATT_HOME"],
            "command": command,
            "cwd": HOME,
            "log": "app",
        }
        body = json.dumps(order | {"env": dict(os.environ)} | more).encode()
        fd = memory_file("order", len(body))
        os.pwrite(fd, body, 0)
        reply, _ = self.ask("spawn", (fd,))
        os.close(fd)
        return reply

    def keep(self) -> None:
        self.channel.send({"type": "hello", "protocol": [1, 1]})
        self.serve_health()
        opened, fds = self.ask("log", log="app", base=0, ring_bytes=1 << 20, slots=4096, log_wait=5.0)
        ring, acks, bell, self.room = fds
        self.ring, self.acks = RingReader(ring), Acks(acks, write=True)
        if opened["fresh"]:
            self.ask("sweep", keeper=os.environ["ATT_HOME"])
            self.spawn("run-1", [sys.executable, os.path.join(HOME, "app.py")])
        self.bell = bell
        self.selector.register(self.channel, selectors.EVENT_READ, self.talk)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(bell, selectors.EVENT_READ, self.take)
        self.take()
        while True:
            for key, _ in self.selector.select():
                key.data()

    def take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.bell, 8)
        at, end = self.taken.tell(), self.ring.end
        if end > at:
            data = self.ring.copy(at, end)
            assert data is not None, "bytes were overwritten before they were taken"
            self.taken.write(data)
            self.taken.flush()
            self.acks.kept = end
            os.write(self.room, (1).to_bytes(8, "little"))

    def accept(self) -> None:
        client, _ = self.listener.accept()
        client.settimeout(5)
        words = client.recv(4096).split(b" ")[1].decode().strip("/").split("/")
        match words:
            case ["runs"]:
                answer = self.ask("runs")[0]
            case ["clear", grace]:
                answer = self.ask("clear", run_id="run-1", grace=float(grace))[0]
            case ["acknowledge"]:
                answer = self.ask("acknowledge", run_id="run-1")[0]
            case ["signal", number]:
                answer = self.ask("signal", run_id="run-1", number=int(number))[0]
            case ["members"]:
                answer = self.ask("members", run_id="run-1")[0]
            case ["listen", port]:
                answer = self.ask("listen", name="app", host="127.0.0.1", port=int(port))[0]
            case ["spawn", run_id, *command]:
                answer = self.spawn(run_id, ["/" + "/".join(command)])
            case ["leave_child"]:
                answer = {"pid": os.spawnlp(os.P_NOWAIT, "setsid", "setsid", "sleep", "300")}
            case ["bad", kind]:
                answer = self.ask(kind)[0]
            case ["replace", *path]:
                self.channel.send({"type": "replace", "path": "/" + "/".join(path)})
                answer = {}
            case ["exit", code]:
                sys.exit(int(code))
            case _:
                answer = {"pid": os.getpid(), "heard": self.late}
        body = json.dumps(answer).encode()
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        client.close()

    def talk(self) -> None:
        try:
            came = self.channel.receive()
        except ClosedError:
            sys.exit(0)
        if came is not None:
            self.late.append(came[0])


if __name__ == "__main__":
    daemon = Keeping()
    daemon.birth()
    if "exit" in daemon.wants:
        sys.exit(int(str(daemon.wants["exit"])))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    assert isinstance(daemon.listener, socket.socket)
    assert isinstance(daemon.channel, Channel)
    daemon.keep()
