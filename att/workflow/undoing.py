"""What a change does to one path and how it is taken back: decided from three states. This file does no I/O.

Of a path three states are known: how it was before the change, how the change leaves it, and how it is now. A path that is in
neither of the first two was written by somebody else meanwhile, and is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True, slots=True)
class State:
    """How a path is: nothing, a file or a link; its mode, and the digest of what is in it."""

    kind: Literal["absent", "file", "link"]
    mode: int = 0
    digest: str = ""


ABSENT = State("absent")


class Way(StrEnum):
    """What is to be done with one path."""

    NOTHING = "nothing"  # it is as it should be
    EXCHANGE = "exchange"
    LEAVE = "leave"  # somebody else has written there


def way(now: State, wanted: State, other: State) -> Way:
    """How `now` becomes `wanted`, when the only other state that it may be in is `other`."""
    if now == wanted:
        return Way.NOTHING
    return Way.EXCHANGE if now == other else Way.LEAVE


_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def unquoted(text: str) -> str:
    """A name as git writes it, in quotes when there is something odd in it."""
    if not text.startswith('"') or not text.endswith('"') or len(text) < 2:
        return text
    inner, found, at = text[1:-1], bytearray(), 0
    while at < len(inner):
        letter = inner[at]
        if letter != "\\":
            found += letter.encode("utf-8", "surrogateescape")
            at += 1
        elif inner[at + 1 : at + 4].isdigit() and len(inner) >= at + 4:
            found.append(int(inner[at + 1 : at + 4], 8) & 0xFF)
            at += 4
        else:
            found.append(_ESCAPES.get(inner[at + 1 : at + 2], 63))
            at += 2
    return found.decode("utf-8", "surrogateescape")


def paths_of(patch: str) -> list[str]:
    """The paths that a unified diff (as git writes it) speaks of. More than it really changes does no harm."""
    found: dict[str, None] = {}
    for line in patch.splitlines():
        for path in _named(line):
            if path and path != "/dev/null":
                found[path] = None
    return list(found)


def _named(line: str) -> Sequence[str]:
    for word in ("rename from ", "rename to ", "copy from ", "copy to "):
        if line.startswith(word):
            return [unquoted(line.removeprefix(word))]
    if line.startswith(("--- ", "+++ ")):
        name = unquoted(line[4:].split("\t")[0].rstrip())
        return [name if name == "/dev/null" else name.partition("/")[2]]
    if line.startswith("diff --git "):
        return _both(line.removeprefix("diff --git "))
    return ()


def _both(rest: str) -> Sequence[str]:
    """The names of `a/NAME b/NAME`, where a name may hold blanks."""
    if rest.startswith('"') or rest.endswith('"'):
        middle = rest.find('" ') + 1 if rest.startswith('"') else rest.find(' "')
        names = (rest[:middle], rest[middle + 1 :])
    else:
        half = len(rest) // 2
        names = (rest[:half], rest[half + 1 :]) if rest[half : half + 1] == " " else ("", "")
    return [unquoted(name.strip()).partition("/")[2] for name in names]
