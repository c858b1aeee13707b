"""The daemon's end of the channel to its launcher, in an event loop: requests with answers, and whatever
else comes.

Every request is answered once, or fails with `LauncherGone` when the channel ends first. Nothing waits for
the other side to read: what it does not take at once is sent when it does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from launcher.protocol.channel import Channel, ClosedError, FullError
from launcher.protocol.messages import BadMessageError, Message
from supervisor.errors import SupervisorError


class LauncherGone(SupervisorError):
    """The launcher has ended, or no longer listens; the daemon is to leave."""

    code: ClassVar[str] = "launcher_gone"


class Answer(NamedTuple):
    """What was answered. The descriptors are the caller's to close."""

    body: Message
    fds: list[int]


class Link:
    """`on_message` gets every message that is no answer.

    `on_gone` is called once. From the loop's thread only.
    """

    def __init__(
        self, channel: Channel, on_message: Callable[[Message], None], on_gone: Callable[[], None]
    ) -> None:
        self._channel = channel
        self._listeners = [on_message]
        self._on_gone = on_gone
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self._writing = False
        self.gone = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(channel.fileno(), self._readable)

    def also(self, listener: Callable[[Message], None]) -> None:
        """One more who hears every message that is no answer."""
        self._listeners.append(listener)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Raises LauncherGone."""
        if self.gone:
            raise LauncherGone("The launcher has ended.")
        try:
            self._channel.send(message, fds)
        except ClosedError:
            self._end()
            raise LauncherGone("The launcher has ended.") from None
        except FullError:
            raise LauncherGone("The launcher does not read what it is sent.") from None
        self._watch_writing()

    async def request(self, kind: str, fds: Sequence[int] = (), **fields: object) -> Answer:
        """Raises LauncherGone. A refusal is an answer too: `body["error"]`."""
        self._number += 1
        number = self._number
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[number] = future
        try:
            self.send({"type": kind, "n": number, **fields}, fds)
            return await future
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """No more messages; the launcher goes on with what it keeps."""
        self._stop_watching()
        self.gone = True
        self._channel.close()
        self._fail()

    def _readable(self) -> None:
        try:
            while (came := self._receive()) is not None:
                self._hand_on(*came)
        except ClosedError:
            self._end()

    def _receive(self) -> tuple[Message, list[int]] | None:
        while True:
            try:
                return self._channel.receive()
            except BadMessageError:
                continue

    def _hand_on(self, message: Message, fds: list[int]) -> None:
        future = self._waiting.get(message.get("n", -1)) if message["type"] == "reply" else None
        if future is not None and not future.done():
            future.set_result(Answer(message, fds))
            return
        for fd in fds:
            os.close(fd)
        if message["type"] != "reply":
            for listener in self._listeners:
                listener(message)

    def _watch_writing(self) -> None:
        if self._channel.sending and not self._writing:
            self._writing = True
            self._loop.add_writer(self._channel.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            self._channel.flush()
        except ClosedError:
            self._end()
            return
        if not self._channel.sending:
            self._writing = False
            self._loop.remove_writer(self._channel.fileno())

    def _stop_watching(self) -> None:
        if not self.gone:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())

    def _end(self) -> None:
        if self.gone:
            return
        self._stop_watching()
        self.gone = True
        self._fail()
        self._on_gone()

    def _fail(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LauncherGone("The launcher has ended."))
