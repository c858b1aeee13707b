"""What the launcher does is written into its journal and said on stderr; what it cannot write, once."""

from __future__ import annotations

from collections.abc import Callable

from launcher.journal import Journal
from launcher.protocol.words import Any


class Notes:
    """`say` puts a line before people."""

    def __init__(self, journal: Journal, say: Callable[[str], None]) -> None:
        self._journal, self.say = journal, say
        self._complaint = ""

    def add(self, event: str, release: str | None, reason: str, **more: object) -> dict[str, Any]:
        """The entry as it stands in the journal."""
        entry = self._journal.add(event, release=release, reason=reason, **more)
        words = (event.replace("_", " "), release or "", reason and f"({reason})")
        self.say(" ".join(part for part in words if part))
        self.complain(self._journal.complaint)
        return entry

    def complain(self, text: str) -> None:
        """Said when it is another complaint than the last one; an empty one means that all is well again."""
        if text and text != self._complaint:
            self.say(text)
        self._complaint = text

    def state(self) -> dict[str, Any]:
        return self._journal.state()

    def resume(self, state: dict[str, Any]) -> None:
        self._journal.resume(state)

    def close(self) -> None:
        self._journal.close()
