"""Lines of a log to records as a person would cut them: one message each, with its traceback. Pure.

Where a record begins is told by `supervisor.logs.records`; here some more is known, since whole texts are looked at and not one
line at a time: a second traceback after one that has ended is a record of its own (unless a sentence joins the two), so is
a group's or a syntax error's that nobody announced, and plain lines without any form are each their own. A record's text is
bounded: its beginning and its end are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from att.debug.tracebacks import CAUSE, CONTEXT, HEADER, is_header
from supervisor.logs.records import LEVELS, UNKNOWN, Beginning, Kind, beginning, strip_ansi
from supervisor.logs.values import Line

MOST_TEXT = 64 * 1024  # of the beginning of a record, and as much of its end
PAUSE = 1.0
"""Seconds after which a line without any form is not taken for more of a traceback that nobody announced."""
_ERROR = Kind("error", None)


@dataclass(slots=True)
class Entry:
    """One record. `offset` and `cursor` stand just after its first line."""

    cursor: str
    at: str
    stream: str
    run: str
    level: str | None
    logger: str | None
    message: str
    alone: bool = False  # a traceback that no record announced
    traceback: bool = False
    lines: int = 0
    offset: int = 0
    last_at: str = ""
    _head: list[str] = field(default_factory=list)
    _tail: deque[str] = field(default_factory=deque)
    _size: int = 0
    _tail_size: int = 0
    _left_out: int = 0
    _last: str = ""
    _mid: bool = False  # the last piece goes on in the next

    def __post_init__(self) -> None:
        self.offset = int(self.cursor.rpartition("-")[2])

    @property
    def cut(self) -> bool:
        return self._left_out > 0

    @property
    def text(self) -> str:
        gap = [f"… {self._left_out} lines left out …"] if self._left_out else []
        return "\n".join([*self._head, *gap, *self._tail])

    @property
    def joined(self) -> bool:
        """The last line says that another traceback follows."""
        return self._last in (CAUSE, CONTEXT)

    def add(self, line: Line, text: str) -> None:
        self.last_at = line.at
        if self._mid:
            self._extend(text)
        else:
            self._append(text)
        self._mid = line.continued
        if text.strip():
            self._last = text.strip()
        if is_header(text) or text.endswith(HEADER):
            self.traceback = True

    def _append(self, text: str) -> None:
        self.lines += 1
        if self._size + len(text) < MOST_TEXT and not self._tail:
            self._head.append(text)
            self._size += len(text) + 1
            return
        self._tail.append(text[:MOST_TEXT])
        self._tail_size += len(self._tail[-1]) + 1
        while self._tail_size > MOST_TEXT and len(self._tail) > 1:
            self._tail_size -= len(self._tail.popleft()) + 1
            self._left_out += 1

    def _extend(self, text: str) -> None:
        """More of the same line, as far as there is room."""
        if self._tail:
            room = max(0, MOST_TEXT - len(self._tail[-1]))
            self._tail[-1] += text[:room]
            self._tail_size += len(text[:room])
        else:
            room = max(0, MOST_TEXT - self._size)
            self._head[-1] += text[:room]
            self._size += len(text[:room])


def join(lines: Iterable[Line]) -> list[Entry]:
    """All records of the lines, in the order in which they begin; each stream of each run for itself."""
    opened: dict[tuple[str, str], Entry] = {}
    found: list[Entry] = []
    for line in lines:
        key = line.run, line.stream
        present = opened.get(key)
        text = strip_ansi(line.text)
        begun = None if present is not None and present._mid else _beginning(text, present, line.at)
        if present is None or begun is not None:
            kind, message = (begun.kind, begun.message) if begun is not None else (UNKNOWN, text)
            alone = begun is not None and (is_header(text) or text.endswith(HEADER)) and begun.stamp is None
            present = Entry(
                line.cursor, line.at, line.stream, line.run, kind.level, kind.logger, message, alone
            )
            opened[key] = present
            found.append(present)
        present.add(line, text)
    return found


def _beginning(text: str, present: Entry | None, at: str) -> Beginning | None:
    """How a record begins with this line; None when it is more of the present one."""
    before = UNKNOWN if present is None else Kind(present.level, present.logger)
    begun = beginning(text, before)
    if begun is not None or present is None:
        return begun if begun is not None else _unannounced(text, before)
    if is_header(text):
        if present.joined:
            return None
        if present.traceback and not text.startswith("  File"):
            return Beginning(_ERROR, None, text)
        return _unannounced(text, before)
    indented = not text or text[0].isspace() or text[0] in ")]}"
    if present.level is None and not indented:
        return Beginning(UNKNOWN, None, text)
    if present.alone and not indented and not _joins(text) and seconds(present.last_at, at) > PAUSE:
        return Beginning(UNKNOWN, None, text)
    return None


def _unannounced(text: str, before: Kind) -> Beginning | None:
    """A traceback that stands for itself."""
    announced = before.level is not None and LEVELS[before.level] >= LEVELS["warning"]
    return Beginning(_ERROR, None, text) if is_header(text) and not announced else None


def _joins(text: str) -> bool:
    return text in (CAUSE, CONTEXT)


def seconds(earlier: str, later: str) -> float:
    """From one time of the log to another."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
