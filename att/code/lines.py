"""Finding lines in a text: the same lines as if each were looked at alone, at the cost of one look at the whole.

The expression is let loose on the whole text, and what it finds is looked at again within its line. That finds every line
which the expression fits by itself, unless it can look around itself or refuses to give back; then each line is taken alone.
Before anything else the raw bytes are asked for a text that every match must hold. Does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

WIDTH = 1000
"""Characters of a line that are told; the match is among them."""
_BEFORE = 200
_ALONE = re.compile(r"\(\?(?:[=!>(]|<[=!])|[*+?}]\+|\\[AZ]")


class Finder:
    """What is looked for. `re.error` when it is no expression."""

    def __init__(self, query: str, *, regex: bool, ignore_case: bool, context: int) -> None:
        flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
        self._pattern = re.compile(query if regex else re.escape(query), flags)
        self._alone = regex and _ALONE.search(query) is not None
        self._context = context
        held = needle(query) if regex else query
        self._folded = ignore_case
        self._needle = (
            held.lower().encode() if ignore_case and held.isascii() else b"" if ignore_case else held.encode()
        )

    @property
    def is_cheap(self) -> bool:
        """Whether a look at the raw bytes settles most files."""
        return bool(self._needle)

    def maybe(self, data: bytes) -> bool:
        """False when there is surely no match."""
        if not self._needle:
            return True
        if not self._folded:
            return self._needle in data
        return self._needle in data.lower() or not data.isascii()

    def find(self, data: bytes, number: int) -> Iterator[dict[str, Any]]:
        """The lines that match; `number` is that of the first."""
        text = data.decode("utf-8", "replace")
        if "\r\n" in text:
            text = text.replace("\r\n", "\n")
        counted = 0
        for start, end, match in self._alone_in(text) if self._alone else self._among(text):
            number += text.count("\n", counted, start)
            counted = start
            yield self._told(text, start, end, number, match)

    def _alone_in(self, text: str) -> Iterator[tuple[int, int, re.Match[str]]]:
        start = 0
        for line in text.split("\n"):
            end = start + len(line)
            if start < len(text) and (match := self._pattern.search(line)):
                yield start, end, match
            start = end + 1

    def _among(self, text: str) -> Iterator[tuple[int, int, re.Match[str]]]:
        position = 0
        while position < len(text) and (match := self._pattern.search(text, position)):
            start = text.rfind("\n", 0, match.start()) + 1
            end = text.find("\n", match.start())
            end = len(text) if end < 0 else end
            if start < len(text) and (inner := self._pattern.search(text[start:end])):
                yield start, end, inner
            position = end + 1

    def _told(self, text: str, start: int, end: int, number: int, match: re.Match[str]) -> dict[str, Any]:
        begin = max(0, match.start() - _BEFORE) if end - start > WIDTH else 0
        told: dict[str, Any] = {
            "line": number,
            "column": match.start() + 1,
            "length": match.end() - match.start(),
            "text": text[start + begin : min(end, start + begin + WIDTH)],
            "cut": end - start > WIDTH,
        }
        if self._context:
            told["before"] = _lines_before(text, start, self._context)
            told["after"] = _lines_after(text, end, self._context)
        return told


def _lines_before(text: str, start: int, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count and start > 0:
        begin = text.rfind("\n", 0, start - 1) + 1
        found.append(text[begin : min(start - 1, begin + WIDTH)])
        start = begin
    return found[::-1]


def _lines_after(text: str, end: int, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count and end + 1 < len(text):
        stop = text.find("\n", end + 1)
        stop = len(text) if stop < 0 else stop
        found.append(text[end + 1 : min(stop, end + 1 + WIDTH)])
        end = stop
    return found


def needle(pattern: str) -> str:
    """A text that stands in every match of the expression; empty when none is surely known."""
    if "|" in pattern or "(?" in pattern:
        return ""
    best, run, depth, at = "", "", 0, 0
    while at < len(pattern):
        char = pattern[at]
        step, literal, keeps = 1, "", False
        if char == "\\":
            step = 2
            literal = pattern[at + 1 : at + 2]
            if literal.isalnum():
                if literal not in "dDwWsSbBAZ":
                    return best if len(best) > len(run) else run if depth == 0 else best
                literal = ""
        elif char == "[":
            step = _set_end(pattern, at) - at
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char in "*?{":
            run = run[:-1]
            step = pattern.find("}", at) - at + 1 if char == "{" else 1
            if step < 1:
                return ""
        elif char not in "+.^$":
            literal = char
        keeps = bool(literal) and depth == 0
        if keeps:
            run += literal
        else:
            best, run = (run if len(run) > len(best) else best), ""
        at += step
    return run if len(run) > len(best) else best


def _set_end(pattern: str, at: int) -> int:
    """Behind the set that begins here."""
    at += 1
    at += pattern[at : at + 1] == "^"
    at += pattern[at : at + 1] == "]"
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1
