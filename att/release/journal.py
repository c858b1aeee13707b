"""What the launcher's journal tells of one switch, and which of its entries are events of this room. Does no I/O.

A switch outlives the daemon that began it, so how far it is stands nowhere but in the journal: the life before and the life
after read the same entries and tell the same story. An entry may be heard live and read again: each carries a number, and what
is not newer than the last one changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

BEGINS = {"standby": ("starting beside the one that runs", 0.1), "switching": ("starting", 0.7)}
STEPS = {
    "started": ("starting", 0.2),
    "standby_healthy": ("handing over", 0.5),
    "switched": ("taking over", 0.7),
}
DONE = frozenset({"healthy", "good"})
FAILURES = frozenset({"standby_lost", "failed", "switch_refused", "missing"})
EVENTS = {"switched": True, "switching": True, "good": True, "failed": False, "rolled_back": False}


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch to `release`. Without a phase there was none in what was read."""

    release: str
    phase: str = ""
    share: float = 0.0
    done: bool = False
    error: str | None = None
    number: int = 0  # of the last entry that was taken in

    @property
    def under_way(self) -> bool:
        return bool(self.phase) and not self.done

    def after(self, entry: Mapping[str, Any]) -> Switch:
        """How it stands once this has been written into the journal."""
        number = entry.get("n")
        if not isinstance(number, int) or number <= self.number:
            return self
        return replace(self._step(str(entry.get("event")), entry), number=number)

    def _step(self, event: str, entry: Mapping[str, Any]) -> Switch:
        reason = str(entry.get("reason") or event.replace("_", " "))
        if event == "launcher_started" and self.under_way and self.share < STEPS["switched"][1]:
            return self._failed("the launcher was started anew before it was done")
        if (
            event == "rolled_back"
            and reason.startswith((f"{self.release}:", f"{self.release} "))
            and not self.error
        ):
            return self._failed(reason)
        if entry.get("release") != self.release:
            return self
        if event in BEGINS:
            phase, share = BEGINS[event]
            return Switch(self.release, phase, share)
        if event in FAILURES:
            return self._failed(reason)
        if not self.phase or self.done:
            return self
        if event in DONE:
            return replace(self, phase="healthy", share=1.0, done=True)
        if event in STEPS:
            phase, share = STEPS[event]
            return replace(self, phase=phase, share=max(share, self.share))
        return self

    def _failed(self, reason: str) -> Switch:
        return replace(self, phase="failed", done=True, error=reason)


def switch_to(release: str, entries: Iterable[Mapping[str, Any]]) -> Switch:
    """The last switch to `release` that these entries, oldest first, tell of."""
    found = Switch(release)
    for entry in entries:
        found = found.after(entry)
    return found


def sentence(entry: Mapping[str, Any]) -> str:
    """An entry as a line for people."""
    words = [str(entry.get("event", "")).replace("_", " "), str(entry.get("release") or "")]
    reason = entry.get("reason")
    return " ".join(word for word in words if word) + (f" ({reason})" if reason else "")


def event_of(entry: Mapping[str, Any]) -> tuple[str, dict[str, Any], bool] | None:
    """The event of this room that a journal entry stands for: type, payload, whether it went well. None: no event."""
    event = entry.get("event")
    if event not in EVENTS:
        return None
    name = "switched" if event == "switching" else event
    payload = {key: entry[key] for key in ("release", "reason", "at") if entry.get(key)}
    return f"release.{name}", payload, EVENTS[event]
