"""What the launcher and this room say to each other: asked by a message, answered by an entry of the journal or a refusal.

Messages carry no number that an answer could name, so an answer is known by what it speaks of. Every entry that comes is kept
for a while and wakes whoever follows a switch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from att.release.errors import LauncherSilent, SwitchRefused
from supervisor.errors import SupervisorError

ANSWER = 10.0
ENTRIES = 500
ANSWERS = {"stage": ("staged", "stage_refused"), "switch": ("standby", "switch_refused")}

Entry = Mapping[str, Any]
Send = Callable[[dict[str, Any]], None]


class Words:
    """`send` takes a message to the launcher; `hear` is given each that comes from it. From the loop's thread only."""

    def __init__(self, send: Send, answer: float = ANSWER) -> None:
        self._send, self._answer = send, answer
        self._entries: deque[Entry] = deque(maxlen=ENTRIES)
        self._waiting: list[tuple[str, str, asyncio.Future[str]]] = []
        self._changed = asyncio.Event()
        self._closed = False
        self._hooks: list[Callable[[Entry], None]] = []

    def on_entry(self, hook: Callable[[Entry], None]) -> None:
        self._hooks.append(hook)

    async def ask(self, kind: str, release: str) -> None:
        """`stage` or `switch`; returns when the launcher has begun. SwitchRefused, LauncherSilent."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting = (kind, release, future)
        self._waiting.append(waiting)
        try:
            self._send({"type": kind, "release": release})
            async with asyncio.timeout(self._answer):
                refused = await future
        except TimeoutError:
            raise LauncherSilent(f"The launcher did not answer within {self._answer:g} s.") from None
        except (SupervisorError, OSError) as fault:
            raise LauncherSilent(f"The launcher cannot be spoken to: {fault}") from None
        finally:
            self._waiting.remove(waiting)
        if refused:
            raise SwitchRefused(f"{release}: {refused}")

    async def follow(self) -> AsyncIterator[list[Entry]]:
        """The entries heard so far, again and again as there are more; ends when this is closed."""
        while True:
            changed = self._changed
            yield list(self._entries)
            if self._closed:
                return
            if changed is self._changed:
                await changed.wait()

    def close(self) -> None:
        self._closed = True
        self._wake()

    def hear(self, message: dict[str, Any]) -> None:
        if message.get("type") == "refused":
            for kind, _, future in self._waiting:
                if kind == message.get("of"):
                    _set(future, str(message.get("reason") or "refused"))
        elif message.get("type") == "journal" and isinstance(message.get("entry"), dict):
            self._take(message["entry"])

    def _take(self, entry: Entry) -> None:
        self._entries.append(entry)
        for kind, release, future in self._waiting:
            taken, refused = ANSWERS[kind]
            if entry.get("release") == release and entry.get("event") in (taken, refused):
                _set(future, "" if entry["event"] == taken else str(entry.get("reason") or "refused"))
        for hook in self._hooks:
            hook(entry)
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _set(future: asyncio.Future[str], value: str) -> None:
    if not future.done():
        future.set_result(value)
