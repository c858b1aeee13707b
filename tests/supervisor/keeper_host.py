"""The launcher's keeper and nothing else of it, answering on the channel whose number is its argument; for tests."""

from __future__ import annotations

import os
import signal
import socket
import sys

from launcher.keeper import REQUESTS, Keeper
from launcher.poller import READ, WRITE, Poller
from launcher.protocol import child, kin
from launcher.protocol.channel import Channel, ClosedError

poller = Poller()
channel = Channel(socket.socket(fileno=int(sys.argv[1])))
os.set_inheritable(channel.fileno(), False)


def watch() -> None:
    poller.watch(channel.fileno(), READ | (WRITE if channel.sending else 0), talk)


def tell(message: dict[str, object], fds: tuple[int, ...] = ()) -> None:
    channel.send(message, fds)
    watch()


def talk(mask: int) -> None:
    try:
        if mask & WRITE:
            channel.flush()
        came = channel.receive() if mask & ~WRITE else None
    except ClosedError:
        keeper.end_all(0.0, lambda: sys.exit(0))
        poller.forget(channel.fileno())
        return
    if came is not None:
        message, fds = came
        if message["type"] in REQUESTS:
            keeper.serve(
                message, fds, lambda fds=(), **more: tell({"type": "reply", "n": message["n"], **more}, fds)
            )
        for fd in fds:
            os.close(fd)
    watch()


def reap(_number: int) -> None:
    keeper.look_for_exits()
    for pid in set(kin.children(os.getpid())) - keeper.children():
        child.reap(pid)


keeper = Keeper(poller, tell)
child.become_subreaper()
poller.on_signals([signal.SIGCHLD], reap)
watch()
while True:
    poller.once()
