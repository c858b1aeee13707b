"""Tracebacks as Python prints them, read back: type, message, frames, what caused what, and the members of groups. Pure.

What is understood: `Traceback (most recent call last):` with frames, source lines, markers and repeated frames; the two sentences
that join a chain; `+ Exception Group Traceback` with its margins, nested to any depth; a SyntaxError with its place and no `in`,
with or without a header; exceptions without a traceback. A note stands in the text just as a further line of the message
does, so it is part of the message here. Lines that belong to none of it are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

HEADER: Final = "Traceback (most recent call last):"
GROUP_HEADER: Final = "Exception Group Traceback (most recent call last):"
CAUSE: Final = "The above exception was the direct cause of the following exception:"
CONTEXT: Final = "During handling of the above exception, another exception occurred:"
_FRAME: Final = re.compile(r'  File "(.*)", line (\d+)(?:, in (.*))?')
_REPEATED: Final = re.compile(r"  \[Previous line repeated (\d+) more times?\]")
_RAISED: Final = re.compile(r"((?:[^\W\d]\w*|<\w+>)(?:\.(?:[^\W\d]\w*|<\w+>))*)(?:: ?(.*))?", re.DOTALL)
_GROUP: Final = re.compile(r"( *)\+ Exception Group Traceback \(most recent call last\):")
_OPEN: Final = re.compile(r"( *)\+-\+-+ .+ -+")
_NEXT: Final = re.compile(r"( *)\+-+ .+ -+")
_CLOSE: Final = re.compile(r"( *)\+-{30,}")
_INSIDE: Final = re.compile(r"( *)\| ?(.*)", re.DOTALL)
DEEPEST: Final = 50


class Why(StrEnum):
    """How an exception came to be while another was there."""

    CAUSE = "cause"  # raise … from …
    CONTEXT = "context"  # raised while the other was handled


@dataclass(frozen=True, slots=True)
class Frame:
    """One call, the outermost first. `function` is None where the place is that of a syntax error."""

    file: str
    line: int
    function: str | None
    code: str | None = None
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception of a traceback; `why` says what the one before it in the chain is to it."""

    type: str
    message: str
    frames: tuple[Frame, ...] = ()
    why: Why | None = None
    members: tuple[tuple[Raised, ...], ...] = ()  # of a group: the chain of each


@dataclass(slots=True)
class _Block:
    """Lines of one level of margins, and where groups stand among them."""

    column: int
    items: list[str | list[_Block]] = field(default_factory=list)


def parse(text: str) -> tuple[Raised, ...]:
    """The chain that the text holds, the oldest first; the last is the one that was raised. Empty when there is none."""
    lines = text.split("\n")
    begin = _begin(lines)
    return () if begin is None else _chain(_levels(lines[begin:]).items)


def _begin(lines: Sequence[str]) -> int | None:
    """Where the first traceback begins; a first exception without a traceback is told by what joins it to the next."""
    for number, line in enumerate(lines):
        if line in (CAUSE, CONTEXT):
            above = [n for n in range(number) if lines[n].strip()]
            named = [n for n in above if _RAISED.fullmatch(lines[n]) and _is_error(lines[n])]
            return named[-1] if named else above[-1] if above else number
        if is_header(line):
            return number
    return next((n for n, line in enumerate(lines) if _RAISED.fullmatch(line) and _is_error(line)), None)


def _is_error(line: str) -> bool:
    """Whether a line alone looks like an exception that is printed without a traceback."""
    name = line.partition(":")[0].rpartition(".")[2]
    return name.endswith(("Error", "Exception", "Group", "Interrupt", "Exit", "Warning"))


def is_header(line: str) -> bool:
    """Whether a traceback begins with this line."""
    if line[:1] not in (" ", "T"):
        return False
    if line == HEADER or _GROUP.fullmatch(line):
        return True
    frame = _FRAME.fullmatch(line)
    return frame is not None and frame[3] is None  # a syntax error has no header of its own


def _levels(lines: Sequence[str]) -> _Block:
    """The lines without their margins, as a tree."""
    top = _Block(-1)
    stack = [top]
    inside = False
    for line in lines:
        group = _GROUP.fullmatch(line)
        if group:
            del stack[1:]
            top.column, inside = len(group[1]), True
            top.items.append(GROUP_HEADER)
        elif not inside or not _margin(line, stack):
            inside = False
            del stack[1:]
            top.items.append(line)
    return top


def _margin(line: str, stack: list[_Block]) -> bool:
    """Take a line of a group to the level that it belongs to; False when the group is over."""
    opened = _OPEN.fullmatch(line)
    if opened:
        _back_to(stack, len(opened[1]))
        if len(stack) > DEEPEST:
            return True
        new = _Block(len(opened[1]) + 2)
        stack[-1].items.append([new])
        stack.append(new)
        return True
    closed = _CLOSE.fullmatch(line)
    if closed:
        _back_to(stack, len(closed[1]) - 2)
        return len(stack) > 0
    sibling = _NEXT.fullmatch(line)
    if sibling:
        _back_to(stack, len(sibling[1]) - 2)
        members = next((item for item in reversed(stack[-1].items) if isinstance(item, list)), None)
        if members is None:
            return False
        members.append(_Block(len(sibling[1])))
        stack.append(members[-1])
        return True
    content = _INSIDE.fullmatch(line)
    if content is None:
        return False
    _back_to(stack, len(content[1]))
    stack[-1].items.append(content[2])
    return True


def _back_to(stack: list[_Block], column: int) -> None:
    while len(stack) > 1 and stack[-1].column > column:
        stack.pop()


def _chain(items: Sequence[str | list[_Block]]) -> tuple[Raised, ...]:
    found: list[Raised] = []
    why: Why | None = None
    part: list[str | list[_Block]] = []
    for item in items:
        joined = Why.CAUSE if item == CAUSE else Why.CONTEXT if item == CONTEXT else None
        if joined is None:
            part.append(item)
            continue
        found += _one(part, why, joined=True)
        part, why = [], joined
    return (*found, *_one(part, why, joined=False))


def _one(part: list[str | list[_Block]], why: Why | None, *, joined: bool) -> list[Raised]:
    """The exception that one part of a chain tells of. `joined`: a sentence with a blank line before it follows."""
    members = [item for item in part if isinstance(item, list)]
    lines = [item for item in part if isinstance(item, str)]
    while lines and not lines[0].strip():
        lines.pop(0)
    if joined and lines and not lines[-1].strip():
        lines.pop()
    if lines and lines[0] in (HEADER, GROUP_HEADER):
        lines.pop(0)
    frames, rest = _frames(lines)
    raised = _RAISED.fullmatch(rest[0]) if rest else None
    if raised is None:
        return [Raised("", "", tuple(frames), why)] if frames else []
    message = "\n".join([raised[2] or "", *rest[1:]])
    within = tuple(chain for group in members for block in group if (chain := _chain(block.items)))
    return [Raised(raised[1], message, tuple(frames), why, within)]


def _frames(lines: Sequence[str]) -> tuple[list[Frame], Sequence[str]]:
    """The frames at the beginning, and what follows them."""
    found: list[Frame] = []
    for number, line in enumerate(lines):
        frame, repeated = _FRAME.fullmatch(line), _REPEATED.fullmatch(line)
        if frame:
            found.append(Frame(frame[1], int(frame[2]), frame[3]))
        elif repeated and found:
            last = found[-1]
            found[-1] = Frame(last.file, last.line, last.function, last.code, int(repeated[1]))
        elif line.startswith("    ") and found:
            if found[-1].code is None:
                last = found[-1]
                found[-1] = Frame(last.file, last.line, last.function, line.strip())
        elif line.strip() or not found:
            return found, lines[number:]
    return found, ()


def whole(text: str) -> bool:
    """Whether the last traceback of the text has come to its end (the line that names the exception)."""
    chain = parse(text)
    return not chain or bool(chain[-1].type)
