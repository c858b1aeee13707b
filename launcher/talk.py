"""What daemons say to the launcher: staging and switching of releases, other code for the launcher, and
requests for the app, which are the keeper's. Wrong messages are refused, unknown ones ignored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from launcher import events as ev
from launcher.boot import Boot
from launcher.home import Home
from launcher.keeper import REQUESTS, Keeper
from launcher.life import Life
from launcher.protocol import messages, notation
from launcher.protocol.messages import Message
from launcher.protocol.words import Any
from launcher.record import is_release_name


class Talk:
    """`heard` takes whatever a life says. Requests are the active one's only, and answered once each."""

    def __init__(
        self,
        version: str,
        boot: Boot,
        home: Home,
        keeper: Keeper,
        active: Callable[[], Life | None],
        step: Callable[[ev.Event], None],
        replace: Callable[[str], None],
    ) -> None:
        self._version, self._boot, self._home, self._keeper = version, boot, home, keeper
        self._active, self._step, self._replace_by = active, step, replace
        self._unanswered: dict[tuple[str, int], Message] = {}

    def state(self) -> list[Any]:
        """The requests that are being served, for `resume` after this process has executed other code."""
        return [[boot_id, message] for (boot_id, _), message in self._unanswered.items()]

    def resume(self, state: list[Any]) -> None:
        """Served once more from their beginning: each asks for something to be so, and part of it may be so already."""
        active = self._active()
        for boot_id, message in state:
            if active is not None and active.birth.boot_id == boot_id:
                self._request(active, message, [])

    def heard(self, life: Life, message: Message, fds: list[int]) -> None:
        handler = MESSAGES.get(message["type"])
        try:
            if handler is not None:
                handler(self, life, message)
            elif message["type"] in REQUESTS:
                self._request(life, message, fds)
            elif isinstance(message.get("n"), int):  # a request that a later version knows
                why = {"kind": "unknown_request", "text": f"{message['type']} is not known to this launcher"}
                life.send({"type": "reply", "n": message["n"], "error": why})
        finally:
            for fd in fds:
                os.close(fd)

    def _request(self, life: Life, message: Message, fds: list[int]) -> None:
        number = message.get("n")
        if life is not self._active() or not isinstance(number, int):
            why = {"kind": "bad_request", "text": "only the active daemon, with a number"}
            life.send({"type": "reply", "n": number, "error": why})
            return
        key = life.birth.boot_id, number

        def reply(fds: Sequence[int] = (), **fields: object) -> None:
            self._unanswered.pop(key, None)
            life.send({"type": "reply", "n": number, **fields}, fds)

        self._unanswered[key] = message
        try:
            self._keeper.serve(message, fds, reply)
        except Exception as error:
            reply(error={"kind": "internal", "text": f"{type(error).__name__}: {error}"})
            raise

    def _hello(self, life: Life, message: Message) -> None:
        version = messages.common_version(message.get("protocol"))
        if version is None:
            _refuse(life, "hello", "no version of the protocol in common")
            return
        life.spoken = True
        welcome = {"type": "welcome", "protocol": version, "boot_id": life.birth.boot_id}
        life.send(welcome | {"launcher": self._version, "record": notation.loads(self._boot.record.dump())})
        life.ask_now()

    def _stage(self, life: Life, message: Message) -> None:
        release = message.get("release")
        if not isinstance(release, str) or not is_release_name(release):
            _refuse(life, "stage", "no name of a release")
        elif self._home.release_body(release) is None:
            _refuse(life, "stage", f"{release} has no readable release.json")
        else:
            self._step(ev.Staged(release))

    def _switch(self, life: Life, message: Message) -> None:
        release = message.get("release")
        if not isinstance(release, str) or not is_release_name(release) or life is not self._active():
            _refuse(life, "switch", "only the active daemon, by name of a release")
        else:
            self._step(ev.SwitchAsked(release))

    def _replace(self, life: Life, message: Message) -> None:
        path = message.get("path")
        if not isinstance(path, str) or not os.path.isabs(path) or life is not self._active():
            _refuse(life, "replace", "only the active daemon, by an absolute path")
        else:
            self._replace_by(path)


def _refuse(life: Life, of: str, reason: str) -> None:
    life.send({"type": "refused", "of": of, "reason": reason})


MESSAGES: dict[str, Callable[[Talk, Life, Message], None]] = {
    "hello": Talk._hello,
    "stage": Talk._stage,
    "switch": Talk._switch,
    "replace": Talk._replace,
}
