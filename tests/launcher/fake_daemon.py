"""A daemon as the launcher sees one, for its tests: behaves as `ATT_HOME/behaviour.json` says for its release.

Keys: `exit` (a code, at once), `signal` (kills itself), `deaf` (never serves health), `late` (seconds until it does),
`status` (what health says),
`claims` (as which release), `keep_alive`, `ignore_term`, `never_drains`, `dies_active`. It answers HTTP on the shared
socket with what it is, and obeys: /exit/N, /hang, /sick, /say/TYPE/RELEASE (a control message), /garbage (bytes that are
no message), /silent (closes the channel).
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time

from launcher.protocol.channel import Channel, ClosedError
from launcher.protocol.messages import BadMessageError

HOME, RELEASE = os.environ["ATT_HOME"], os.environ["ATT_RELEASE"]
STANDBY = os.environ.get("ATT_STANDBY") == "1"


def behaviour() -> dict[str, object]:
    try:
        with open(os.path.join(HOME, "behaviour.json")) as file:
            return json.load(file).get(RELEASE, {})
    except FileNotFoundError:
        return {}


class Fake:
    def __init__(self) -> None:
        self.wants = behaviour()
        self.sick = False
        self.heard: list[dict[str, object]] = []
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(fileno=int(os.environ["ATT_LISTEN_FD"]))
        self.listener.setblocking(False)
        self.channel = Channel(socket.socket(fileno=int(os.environ["ATT_LAUNCHER_FD"])))

    def birth(self) -> None:
        born = {
            "release": RELEASE,
            "boot_id": os.environ["ATT_BOOT_ID"],
            "pid": os.getpid(),
            "at": time.monotonic(),
            "safe": os.environ.get("ATT_SAFE_MODE") == "1",
            "standby": STANDBY,
            "argv": sys.argv[1:],
            "mask": sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "ignored": sorted(
                int(n)
                for n in signal.valid_signals()
                if signal.getsignal(n) is signal.SIG_IGN and n != signal.SIGPIPE
            ),
            "fds": sorted(int(name) for name in os.listdir("/proc/self/fd"))
            if os.path.isdir("/proc")
            else [],
            "private": [k for k in os.environ if k.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))],
            "leader": os.getsid(0) == os.getpid(),
        }
        with open(os.path.join(HOME, "births.ndjson"), "a") as file:
            file.write(json.dumps(born) + "\n")

    def run(self) -> None:
        self.birth()
        print(f"{RELEASE} says hello", flush=True)
        if "exit" in self.wants:
            sys.exit(int(str(self.wants["exit"])))
        if "signal" in self.wants:
            os.kill(os.getpid(), int(str(self.wants["signal"])))
        signal.signal(
            signal.SIGTERM, signal.SIG_IGN if self.wants.get("ignore_term") else lambda *_: sys.exit(0)
        )
        self.selector.register(self.channel, selectors.EVENT_READ, self.talk)
        self.channel.send({"type": "hello", "protocol": [1, 1]})
        if "late" in self.wants:  # a start that takes its time
            self.selector.select(float(str(self.wants["late"])))
        if not self.wants.get("deaf"):
            self.serve_health()
        if not STANDBY:
            self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        while True:
            for key, _ in self.selector.select():
                key.data()

    def serve_health(self) -> None:
        self.health = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.health.bind(os.environ["ATT_HEALTH_SOCKET"])
        self.health.listen(16)
        self.selector.register(self.health, selectors.EVENT_READ, self.healthy)

    def healthy(self) -> None:
        client, _ = self.health.accept()
        client.settimeout(5)
        client.recv(4096)
        status = "sick" if self.sick else self.wants.get("status", "ok")
        release = self.wants.get("claims", RELEASE)
        body = json.dumps(
            {"status": status, "release": release, "boot_id": os.environ["ATT_BOOT_ID"]}
        ).encode()
        reply(client, body, keep_open=bool(self.wants.get("keep_alive")))

    def accept(self) -> None:
        try:
            client, _ = self.listener.accept()
        except BlockingIOError:
            return
        client.settimeout(5)
        path = client.recv(4096).split(b" ")[1].decode()
        word, *rest = path.strip("/").split("/")
        done = {
            "release": RELEASE,
            "boot_id": os.environ["ATT_BOOT_ID"],
            "pid": os.getpid(),
            "heard": self.heard,
        }
        if word == "say":
            self.channel.send({"type": rest[0], "release": rest[1]})
        elif word == "hello":
            self.channel.send({"type": "hello", "protocol": [int(number) for number in rest], "more": {}})
        elif word == "request":
            self.channel.send({"type": rest[0], "n": 1})
        elif word == "flood":  # asks and does not read; descriptors beside
            self.flood(int(rest[0]), rest[1] if len(rest) > 1 else "runs")
        elif word == "replace":
            self.channel.send({"type": "replace", "path": "/" + "/".join(rest)})
        elif word == "garbage":
            self.channel.socket.setblocking(True)
            for piece in (
                b"\xff\x00",
                b"[]",
                b"{}",
                b'{"type": 3}',
                b"x" * 100_000,
                b'{"type": "unknown"}',
                b'{"type": "he',
            ):
                self.channel.socket.send(piece)
            null = os.open(os.devnull, os.O_RDONLY)
            socket.send_fds(self.channel.socket, [b'{"type": "hello"}'], [null] * 200)
            self.channel.socket.setblocking(False)
        elif word == "sick":
            self.sick = True
        reply(client, json.dumps(done).encode())
        if word == "exit":
            sys.exit(int(rest[0]))
        elif word == "hang":
            signal.pause()
        elif word == "silent":
            self.selector.unregister(self.channel)
            self.channel.close()

    def flood(self, times: int, kind: str) -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        self.channel.socket.setblocking(True)
        ask = {"type": kind, "log": "app", "base": 0, "ring_bytes": 4096, "slots": 3, "log_wait": 1}
        for number in range(times):
            socket.send_fds(self.channel.socket, [json.dumps(ask | {"n": number}).encode()], [null] * 8)
        self.channel.socket.setblocking(False)
        os.close(null)

    def talk(self) -> None:
        try:
            came = self.channel.receive()
        except BadMessageError:
            return
        except ClosedError:
            sys.exit(0)
        if came is None:
            return
        message, _ = came
        self.heard.append(message)
        if message["type"] == "activate":
            if self.wants.get("dies_active"):
                sys.exit(1)
            self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        elif message["type"] == "drain" and not self.wants.get("never_drains"):
            self.selector.unregister(self.listener)
            sys.exit(75)


def reply(client: socket.socket, body: bytes, keep_open: bool = False) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with contextlib.suppress(OSError):
        client.sendall(head.encode() + body)
    if keep_open:
        KEPT.append(client)
    else:
        client.close()


KEPT: list[socket.socket] = []

if __name__ == "__main__":
    Fake().run()
