"""What ripgrep is asked, and what its answers mean. Does no I/O.

It is asked twice. First over the whole tree and by all threads for no more than the names of the files that hold a match; then
for the lines of the few files whose matches are wanted, by descriptors, in the order that the caller gave. So an answer is in one
order, holds what fits its limit however much there is, and never comes from a file that was not reached inside the project.

Expressions are those of Rust's regex, which take a time in proportion to the text; one that looks around itself or back at a
group is left to PCRE2, which gives up on a line after a bounded number of steps.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 1000
"""Characters of a line that are told; the match is among them."""
MAX_DEPTH = 200
_BEFORE = 200
_WRAPPED = len("(?:")  # it puts an expression into a group
_HERE = b"./"
_ALWAYS = (
    *("--no-config", "--no-mmap", "--crlf", "--encoding=none", "--color=never", "--sort=none", "--no-pre"),
    *("--regex-size-limit=32M", "--dfa-size-limit=64M"),
)
_RULES = ("--no-ignore-global", "--no-ignore-parent", "--no-ignore-dot", "--no-require-git")
_NAME = r"(?:\*|\*?(?:[\w.+@~=,:%&-]+\*?)+)"
# A line of rules that ripgrep reads as git does: nothing, a comment, or names with single stars, `**` only alone between slashes.
_PLAIN = rf"^(?:#.*|!?/?(?:\*\*/)?{_NAME}(?:/(?:\*\*/)?{_NAME})*(?:/|/\*\*)?|)$"
_SEARCHED = re.compile(rb"^(\d+) files searched$", re.MULTILINE)
_INVALID = re.compile(r"PCRE2: error compiling pattern at offset (\d+): (.*)")
GAVE_UP = b"PCRE2: error matching"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for."""

    query: str
    regex: bool
    ignore_case: bool
    context: int
    limit: int

    def words(self) -> list[str]:
        kind = "--engine=auto" if self.regex else "--fixed-strings"
        case = "--ignore-case" if self.ignore_case else "--case-sensitive"
        return [*_ALWAYS, kind, case, f"--regexp={self.query}"]


@dataclass(frozen=True, slots=True)
class Holders:
    """The files that hold a match, in the order of their paths; how many were looked into (None: it did not get that far)."""

    paths: list[str]
    files: int | None


@dataclass(slots=True)
class _Open:
    """The file whose lines come at the moment."""

    name: str
    lines: dict[int, str] = field(default_factory=dict)
    matches: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # each with its offset


def ask_names(
    wanted: Wanted, start: Sequence[str], *, hidden: bool, ignored: bool, threads: int
) -> list[str]:
    """The words that ask for the names of the files, below `start`."""
    return [
        *wanted.words(),
        *("--files-with-matches", "--null", "--stats", "--no-follow", "--glob=!.git"),
        *(f"--max-depth={MAX_DEPTH - len(start)}", f"--threads={threads}"),
        *(("--hidden",) if hidden else ()),
        *(("--no-ignore",) if ignored else _RULES),
        *("--", "./" + "/".join(start)),
    ]


def ask_odd_rules(start: Sequence[str], *, threads: int) -> list[str]:
    """The words that ask for the names of those `.gitignore` that ripgrep may read in another way than git does.

    It comes by all that count, unless one that it comes by is odd: what a plain one tells it to pass over counts for nobody.
    """
    return [
        *(
            "--no-config",
            "--no-mmap",
            "--color=never",
            "--sort=none",
            "--no-pre",
            "--no-follow",
            "--hidden",
            "--text",
        ),
        *("--encoding=none", "--files-with-matches", "--invert-match", f"--regexp={_PLAIN}"),
        *(
            "--glob=.gitignore",
            "--glob=!.git",
            f"--max-depth={MAX_DEPTH - len(start)}",
            f"--threads={threads}",
        ),
        *(*_RULES, "--", "./" + "/".join(start)),
    ]


def is_odd(rules: bytes) -> bool:
    """The same of one list of rules."""
    return not all(re.search(_PLAIN, line) for line in rules.decode("utf-8", "surrogateescape").split("\n"))


def ask_lines(wanted: Wanted, names: Sequence[str]) -> list[str]:
    """The words that ask for the lines of these files, in their order."""
    bounds = (f"--max-count={wanted.limit + 1}", f"--context={wanted.context}", "--threads=1")
    return [*wanted.words(), "--json", *bounds, "--", *names]


def read_names(out: bytes) -> Holders:
    """Also of an answer that was cut off."""
    told, _, last = out.rpartition(b"\0")
    paths = [
        name.removeprefix(_HERE).decode("utf-8", "surrogateescape") for name in told.split(b"\0") if name
    ]
    paths.sort(key=lambda path: path.split("/"))
    searched = _SEARCHED.search(last)
    return Holders(paths, int(searched[1]) if searched else None)


def read_lines(out: bytes, context: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The matches, each with the name of its file; also of an answer that was cut off."""
    now: _Open | None = None
    for line in out[: max(0, out.rfind(b"\n"))].split(b"\n"):
        message = json.loads(line)
        kind, data = message["type"], message["data"]
        if kind == "begin":
            now = _Open(_bytes(data["path"]).decode())
        elif now is not None and kind in ("match", "context"):
            _take(now, kind, data)
        elif now is not None and kind == "end":
            yield from _of_file(now, data["binary_offset"], context)
            now = None
    if now is not None:
        yield from _of_file(now, None, context)


def _take(now: _Open, kind: str, data: dict[str, Any]) -> None:
    line = _bytes(data["lines"]).removesuffix(b"\n").removesuffix(b"\r")
    number = data["line_number"]
    now.lines[number] = line[: 4 * WIDTH].decode("utf-8", "replace")[:WIDTH]
    if kind == "match":
        first = (data["submatches"] or [{"start": len(line), "end": len(line)}])[
            0
        ]  # it tells no empty one at the end
        told = _told(line, number, first["start"], first["end"])
        now.matches.append((data["absolute_offset"], told))


def _told(line: bytes, number: int, start: int, end: int) -> dict[str, Any]:
    before, text = line[:start].decode("utf-8", "replace"), line.decode("utf-8", "replace")
    begin = max(0, len(before) - _BEFORE) if len(text) > WIDTH else 0
    return {
        "line": number,
        "column": len(before) + 1,
        "length": len(line[start:end].decode("utf-8", "replace")),
        "text": text[begin : begin + WIDTH],
        "cut": len(text) > WIDTH,
    }


def _of_file(now: _Open, binary: int | None, context: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What stands behind the first zero byte is no text."""
    for offset, match in now.matches:
        if binary is not None and offset >= binary:
            return
        if context:
            at = match["line"]
            match["before"] = [now.lines[n] for n in range(at - context, at) if n in now.lines]
            match["after"] = [now.lines[n] for n in range(at + 1, at + context + 1) if n in now.lines]
        yield now.name, match


def _bytes(told: dict[str, str]) -> bytes:
    return told["text"].encode() if "text" in told else base64.b64decode(told["bytes"])


def fault(query: str, *, regex: bool) -> tuple[str, int] | None:
    """What no line can hold and no expression may, and where."""
    for char, name in (("\n", "a line end"), ("\0", "a zero byte")):
        if (at := query.find(char)) >= 0:
            escape = ", nor can an expression name it as itself" if regex else ""
            return f"{name} is never within a line{escape}", at
    return None


def fault_told(query: str, said: bytes) -> tuple[str, int | None]:
    """What ripgrep found wrong with an expression: in words, and the character where it gave up reading."""
    text = said.decode("utf-8", "replace")
    if (found := _INVALID.search(text)) is None:
        lines = [line for line in text.splitlines() if line.strip()]
        return (lines[-1].removeprefix("rg: ")[:300] if lines else "it cannot be read"), None
    at = max(0, int(found[1]) - _WRAPPED)
    return found[2][:300], len(query.encode()[:at].decode("utf-8", "ignore"))
