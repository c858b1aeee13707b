"""Putting one value into a text of JSON or TOML that a person wrote, and leaving every other character as it is.

Settings of other programs are edited here. So nothing is formatted anew, comments stay, and the result is read again before it is
given: it must hold what was wanted and all that was there before. What cannot be done that way is refused. Does no I/O.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

_SPACE = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_ATOM = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_DEEP = 100


class NotEditable(ValueError):
    """The text is not valid, or the value has no place in it."""


@dataclass
class Node:
    """A value of a JSON text and where it stands; for an object its members by name."""

    start: int
    end: int
    value: Any
    members: dict[str, Node] | None = None
    order: list[Node] = field(default_factory=list)
    comma: bool = False  # after the last member of it


class _Reader:
    """JSON with what editors allow in it: comments, and a comma after the last member."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 1 if text.startswith("\ufeff") else 0

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def wrong(self) -> NotEditable:
        line = self.text.count("\n", 0, self.at) + 1
        return NotEditable(f"it is no valid JSON at line {line}")

    def whole(self) -> Node:
        self.space()
        node = self.value(0)
        self.space()
        if self.at != len(self.text):
            raise self.wrong()
        return node

    def value(self, depth: int) -> Node:
        start = self.at
        if depth > _DEEP:
            raise self.wrong()
        opening = self.text[start : start + 1]
        if opening == "{":
            return self.group("}", depth)
        if opening == "[":
            return self.group("]", depth)
        found = (_STRING if opening == '"' else _ATOM).match(self.text, start)
        if found is None:
            raise self.wrong()
        self.at = found.end()
        try:
            return Node(start, self.at, json.loads(found[0]))
        except ValueError:
            raise self.wrong() from None

    def group(self, closing: str, depth: int) -> Node:
        """An object or a list."""
        node = Node(self.at, self.at, {} if closing == "}" else [], {} if closing == "}" else None)
        self.at += 1
        while True:
            self.space()
            if self.text[self.at : self.at + 1] == closing:
                self.at += 1
                node.end = self.at
                return node
            if node.order and not node.comma:
                raise self.wrong()
            self.member(node, depth)
            self.space()
            node.comma = self.text[self.at : self.at + 1] == ","
            self.at += node.comma

    def member(self, node: Node, depth: int) -> None:
        if node.members is None:
            found = self.value(depth + 1)
            node.value.append(found.value)
        else:
            name = self.value(depth + 1)
            self.space()
            if not isinstance(name.value, str) or self.text[self.at : self.at + 1] != ":":
                raise self.wrong()
            self.at += 1
            self.space()
            found = self.value(depth + 1)
            if name.value in node.members:
                raise NotEditable(f"it names {json.dumps(name.value)} twice")
            node.members[name.value] = found
            node.value[name.value] = found.value
        node.order.append(found)


def read_json(text: str) -> Any:
    """What a JSON text holds, comments allowed. An empty one holds an empty object."""
    return _Reader(text).whole().value if text.strip("\ufeff \t\r\n") else {}


def put_json(text: str, path: tuple[str, ...], value: object) -> str:
    """The text with `value` at `path`; objects on the way are made."""
    if not text.strip("\ufeff \t\r\n"):
        for name in reversed(path):
            value = {name: value}
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    root = node = _Reader(text).whole()
    depth = 0
    while node.members is not None and depth < len(path) and path[depth] in node.members:
        node = node.members[path[depth]]
        depth += 1
    if depth < len(path) and node.members is None:
        raise NotEditable(f"{'.'.join(path[:depth]) or 'the whole'} is no object")
    unit, newline = _indent(text, root), "\r\n" if "\r\n" in text else "\n"
    if depth == len(path):
        made = text[: node.start] + _block(value, unit, depth, newline) + text[node.end :]
    else:
        made = _insert(text, node, path[depth:], value, (unit, depth, newline))
    wanted = read_json(text)
    there = wanted
    for name in path[:-1]:
        there = there.setdefault(name, {})
    there[path[-1]] = value
    if read_json(made) != wanted:
        raise NotEditable("it cannot be edited without harm")
    return made


def _indent(text: str, root: Node) -> str:
    """One step of indentation, as the first member of the text has it."""
    if root.order:
        found = re.compile(r"[\r\n]([ \t]+)[^\r\n]*$").search(text, root.start, root.order[0].start)
        if found:
            return found[1]
    return "  "


def _block(value: object, unit: str, depth: int, newline: str) -> str:
    lines = json.dumps(value, indent=unit, ensure_ascii=False).split("\n")
    return f"{newline}{unit * depth}".join(lines)


def _insert(text: str, node: Node, path: tuple[str, ...], value: object, style: tuple[str, int, str]) -> str:
    """A new member at the end of an object."""
    unit, depth, newline = style
    for name in reversed(path[1:]):
        value = {name: value}
    member = f"{json.dumps(path[0])}: {_block(value, unit, depth + 1, newline)}"
    inside = f"{newline}{unit * (depth + 1)}{member}"
    if not node.order:
        after = text[node.start + 1 : node.end - 1].rstrip()  # a comment, perhaps
        return text[: node.start + 1] + after + inside + f"{newline}{unit * depth}" + text[node.end - 1 :]
    last = node.order[-1].end
    after = text[last : node.end - 1]
    said = after.rstrip()  # the comma, and what is remarked on the last member
    space = after[len(said) :]
    closing = space if "\n" in space else f"{newline}{unit * depth}"
    return text[:last] + ("" if node.comma else ",") + said + inside + closing + text[node.end - 1 :]


# ---- TOML


def put_toml(text: str, table: tuple[str, ...], values: dict[str, Any], managed: frozenset[str]) -> str:
    """The text with these values in `[table]`, where keys of `managed` that are not among them are taken out."""
    try:
        wanted: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotEditable(f"it is no valid TOML: {error}") from None
    there = wanted
    for name in table:
        there = there.setdefault(name, {}) if isinstance(there, dict) else None
    if not isinstance(there, dict):
        raise NotEditable(f"{'.'.join(table)} is no table")
    known = {name: there.pop(name) for name in managed & there.keys()}
    if known == values:
        return text
    there.update(values)
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = [f"{name} = {_toml(value)}{newline}" for name, value in values.items()]
    parts = _statements(text)
    header = next((i for i, part in enumerate(parts) if _header(part) == table), None)
    if header is None:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        made = text + gap + f"[{'.'.join(table)}]{newline}" + "".join(lines)
    else:
        end = next((i for i in range(header + 1, len(parts)) if _header(parts[i])), len(parts))
        kept = [part for part in parts[header + 1 : end] if not _sets(part) & managed]
        head = parts[header] if parts[header].endswith("\n") else parts[header] + newline
        made = "".join([*parts[:header], head, *lines, *kept, *parts[end:]])
    try:
        same = tomllib.loads(made) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise NotEditable(f"{'.'.join(table)} is written in a way that cannot be edited without harm")
    return made


def _statements(text: str) -> list[str]:
    """The lines of a text, where a value of several lines is one."""
    found: list[str] = []
    rest = ""
    for line in text.splitlines(keepends=True):
        rest += line
        try:
            tomllib.loads(rest)
        except tomllib.TOMLDecodeError:
            continue
        found.append(rest)
        rest = ""
    return [*found, rest] if rest else found


def _header(statement: str) -> tuple[str, ...] | None:
    """The name of the table that a statement begins."""
    if not statement.lstrip().startswith("["):
        return None
    names: list[str] = []
    inner: Any = tomllib.loads(statement)
    while inner:
        name, inner = next(iter(inner.items()))
        names.append(name)
        if isinstance(inner, list):
            return (*names, "[]")
    return tuple(names)


def _sets(statement: str) -> frozenset[str]:
    """The keys that a statement sets."""
    return frozenset(tomllib.loads(statement))


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
