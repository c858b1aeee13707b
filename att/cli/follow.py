"""Following a stream from a terminal, over any number of restarts of the daemon, without a gap or a repeat.

First a page is read, which tells the cursor to go on from; then the NDJSON stream is followed, and each object's cursor
remembered. When the connection ends (the daemon restarts), the stream is asked for again from the last cursor. A line
that was cut off is not shown; it comes again, whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from att.cli.client import Client, Refused, Unreachable

_WAITS = (0.05, 0.1, 0.2, 0.5, 1.0)
_COMES_BACK = frozenset({502, 503, 504})

Tell = Callable[[str], None]


def cursor_of(told: dict[str, Any]) -> str | None:
    """Where to go on after this object or page."""
    for name in ("cursor", "next_cursor", "last_id", "id"):
        if told.get(name) is not None:
            return str(told[name])
    return None


def is_last(told: dict[str, Any]) -> bool:
    """Whether nothing comes after this: it says that it is done, or that it is the last piece of a text."""
    return told.get("type") == "done" or ("text" in told and told.get("complete") is True)


class Following:
    """The objects of a stream, one after the other, as `(raw line, object)`."""

    def __init__(
        self, client: Client, target: str, tell: Tell, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._target = target
        self._tell = tell
        self._sleep = sleep
        self.cursor: str | None = None

    def page(self) -> tuple[bytes, dict[str, Any]]:
        """What there is already; the stream then goes on after it."""
        raw = self._client.ask("GET", self._target)
        told: dict[str, Any] = json.loads(raw)
        self.cursor = cursor_of(told)
        return raw, told

    def __iter__(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Ends when the stream says that it is done. `Refused` when the daemon will not go on."""
        tries = 0
        while True:
            try:
                for raw in self._client.lines(self._target, self.cursor):
                    if not raw:
                        continue
                    told = json.loads(raw)
                    if "problem" in told:
                        raise Refused(
                            told["problem"].get("status", 500), json.dumps(told["problem"]).encode()
                        )
                    tries = 0
                    self.cursor = cursor_of(told) or self.cursor
                    yield raw, told
                    if is_last(told):
                        return
            except Unreachable:
                if tries == 0 and self.cursor is None:
                    raise
            except Refused as refused:
                if refused.answer_status not in _COMES_BACK:
                    raise
            if tries == len(_WAITS):
                self._tell("ATT does not answer; waiting for it to come back.")
            self._sleep(_WAITS[min(tries, len(_WAITS) - 1)])
            tries += 1
