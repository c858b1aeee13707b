"""Lines to log records: where a record begins, its level and its logger; what follows continues it. Pure.

Known beginnings: NAT's two formats (the loggers', and uvicorn's without a logger's name), the default formats of `logging` and
uvicorn, Python's warnings, and click's `Error: …`. A traceback continues the record before it when that one is a warning or
worse; otherwise nobody announced it, and it is a record of its own, an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from supervisor.logs.values import Line

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_LEVEL: Final = "(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)"
_STAMPED: Final = re.compile(
    rf"(?P<stamp>\d{{4}}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?) - {_LEVEL}"
    r"(?: +- (?P<logger>[\w.$<>-]+)(?::\d+)? - |:\s+)(?P<message>.*)",
    re.DOTALL,
)
_PLAIN: Final = re.compile(rf"{_LEVEL}:(?:(?P<logger>[\w.]+):|\s+)(?P<message>.*)", re.DOTALL)
_WARNING: Final = re.compile(r"\S+:\d+: (?P<logger>\w*Warning): (?P<message>.*)", re.DOTALL)
_ACCESS: Final = re.compile(
    r'(?P<client>\S+) - "(?P<method>[A-Z]+) (?P<path>\S*) HTTP/[\d.]+" (?P<status>\d{3})'
)
_ANSI: Final = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_FIRST: Final = frozenset("0123456789DIWECT\x1b/<")
ACCESS_LOGGER: Final = "uvicorn.access"


class Kind(NamedTuple):
    """What a line inherits from its record."""

    level: str | None = None
    logger: str | None = None


class Beginning(NamedTuple):
    kind: Kind
    stamp: str | None  # the application's own time, as it wrote it
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its first line's cursor and time, and all its lines."""

    cursor: str
    at: str
    stamp: str | None
    level: str | None
    logger: str | None
    message: str  # of the first line, without the head
    lines: tuple[Line, ...]


class Access(NamedTuple):
    client: str
    method: str
    path: str
    status: int


UNKNOWN: Final = Kind()


def strip_ansi(text: str) -> str:
    return _ANSI.sub("", text) if "\x1b" in text else text


def access(message: str) -> Access | None:
    """What an access line of uvicorn tells."""
    found = _ACCESS.match(message)
    if found is None:
        return None
    return Access(found["client"], found["method"], found["path"], int(found["status"]))


def beginning(text: str, before: Kind = UNKNOWN) -> Beginning | None:
    """How a record begins with this line; None when the line continues the one before, which is of kind `before`."""
    if text[:1] not in _FIRST:
        return _warning(text) if ": " in text[:300] and "Warning: " in text[:400] else None
    text = strip_ansi(text)
    found = _STAMPED.match(text) or _PLAIN.match(text)
    if found is not None:
        logger, message = found["logger"], found["message"]
        if logger is None:
            logger = ACCESS_LOGGER if access(message) else None
        stamp = found.groupdict().get("stamp")
        return Beginning(Kind(found["level"].lower(), logger), stamp, message)
    if text.startswith("Error: "):
        return Beginning(Kind("error", None), None, text[7:])
    if text.startswith("Traceback (most recent call last)"):
        announced = before.level is not None and LEVELS[before.level] >= LEVELS["warning"]
        return None if announced else Beginning(Kind("error", None), None, text)
    return _warning(text)


def _warning(text: str) -> Beginning | None:
    found = _WARNING.match(text)
    return None if found is None else Beginning(Kind("warning", found["logger"]), None, found["message"])


def kinds(texts: list[str], before: Kind) -> list[Kind]:
    """The kind of each line of one stream, in order, after a line of kind `before`."""
    found: list[Kind] = []
    for text in texts:
        if text[:1] in _FIRST or "Warning: " in text[:400]:
            begun = beginning(text, before)
            if begun is not None:
                before = begun.kind
        found.append(before)
    return found


def records(lines: Iterable[Line]) -> Iterator[Record]:
    """Lines of a log to records, each stream of each run for itself; a record comes out when it is known to be whole."""
    opened: dict[tuple[str, str], tuple[Beginning, list[Line]]] = {}
    for line in lines:
        key = line.run, line.stream
        present = opened.get(key)
        begun = beginning(line.text, present[0].kind if present else UNKNOWN)
        if begun is None and present is not None:
            present[1].append(line)
            continue
        if present is not None:
            yield _record(*present)
        opened[key] = (begun or Beginning(UNKNOWN, None, line.text), [line])
    for present in opened.values():
        yield _record(*present)


def _record(begun: Beginning, lines: list[Line]) -> Record:
    first = lines[0]
    return Record(first.cursor, first.at, begun.stamp, *begun.kind, begun.message, tuple(lines))
