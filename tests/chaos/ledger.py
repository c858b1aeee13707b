"""Whether every line is there, once, in its order. Does no I/O.

A line is `NUMBER WORD`; within a run and a stream the numbers go up by one from 0. The app says how many bytes it began to write
and how many it has written: all whole lines of the latter must come, none beyond the former may. Only the last line of a run
that was killed may be cut short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from tests.chaos.app import LINE

WHOLE = LINE - 1  # without its end


class Written(NamedTuple):
    """Bytes that a run began to write to a stream, and those that it has written."""

    begun: int
    done: int


Stream = tuple[str, str]  # run, "stdout" or "stderr"


class Ledger:
    def __init__(self) -> None:
        self.lines = self.missing = self.doubled = self.lost = self.odd = 0
        self.words: list[str] = []
        self.next: Counter[Stream] = Counter()
        self._torn: set[Stream] = set()

    def after(self) -> Ledger:
        """One that goes on from here, with nothing to reproach it with."""
        other = Ledger()
        other.next, other._torn = self.next.copy(), set(self._torn)
        return other

    def take(self, run: str, stream: str, text: str) -> None:
        self.lines += 1
        key = run, stream
        number = text[:10]
        if key in self._torn:
            self._say("odd", f"{key}: {text!r} after a line that was cut short")
        elif len(text) != WHOLE or not number.isdigit():
            self._torn.add(key)
        elif int(number) != self.next[key]:
            self._jump(key, int(number))
        else:
            self.next[key] += 1

    def _jump(self, key: Stream, number: int) -> None:
        wanted = self.next[key]
        if number > wanted:
            self.missing += number - wanted - 1
            self._say("missing", f"{key}: {wanted} was to come, {number} came")
            self.next[key] = number + 1
        else:
            self._say("doubled", f"{key}: {wanted} was to come, {number} came again")

    def gap(self, told: object) -> None:
        """The log itself says that something is lost."""
        self._say("lost", f"lost: {told}")

    def _say(self, kind: str, text: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.words) < 20:
            self.words.append(text)

    def behind(self, written: Mapping[Stream, Written]) -> list[str]:
        """The streams of which something that was written has not come."""
        return [
            f"{key}: {self.next[key]} of {each.done // LINE} lines"
            for key, each in written.items()
            if self.next[key] < each.done // LINE
        ]

    def beyond(self, written: Mapping[Stream, Written]) -> list[str]:
        """Lines that nobody has written."""
        unknown = [f"{key}: an unknown run" for key in self.next if key not in written]
        return unknown + [
            f"{key}: {self.next[key]} lines, {each.begun} bytes were begun"
            for key, each in written.items()
            if self.next[key] * LINE > each.begun
        ]

    def faults(self) -> list[str]:
        """Everything that must not be; empty when all is well."""
        counts = {name: getattr(self, name) for name in ("missing", "doubled", "lost", "odd")}
        found = [f"{count} {name}" for name, count in counts.items() if count]
        return found + self.words if found else []
