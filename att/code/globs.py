"""Which paths a `.gitignore`, or a list of globs in the same language, means. Says it as git does; does no I/O.

A pattern without a slash (but for one at its end) means names at any depth; one with a slash, paths from where it stands. The
last pattern that fits decides, `!` turns its meaning round, and a slash at the end means directories only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "\\x21-\\x7e",
    "lower": "a-z",
    "print": "\\x20-\\x7e",
    "punct": "\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e",
    "space": " \\t\\r\\n\\f\\v",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern. `whole`: it is matched against the path, not the name alone."""

    negated: bool
    folders_only: bool
    whole: bool
    match: re.Pattern[str]


class Rules:
    """The patterns of one file or list, in their order."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.rules = [rule for line in lines if (rule := parse(line)) is not None]
        self._names = _union(rule for rule in self.rules if not rule.whole)
        self._paths = _union(rule for rule in self.rules if rule.whole)

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def positive(self) -> bool:
        """Whether there is a pattern that means something rather than takes it out."""
        return any(not rule.negated for rule in self.rules)

    def decide(self, path: str, name: str, is_folder: bool) -> bool | None:
        """What the last fitting pattern says; None when none fits. `path` is relative to where the patterns stand."""
        named = self._names is not None and self._names.fullmatch(name) is not None
        if not named and (self._paths is None or self._paths.fullmatch(path) is None):
            return None
        for rule in reversed(self.rules):
            if rule.folders_only and not is_folder:
                continue
            if rule.match.fullmatch(path if rule.whole else name):
                return not rule.negated
        return None

    def decide_below(self, path: str, name: str) -> bool | None:
        """What they say of a file, or of the nearest directory above it that they know."""
        told = self.decide(path, name, False)
        while told is None and "/" in path:
            path = path.rpartition("/")[0]
            told = self.decide(path, path.rpartition("/")[2], True)
        return told


def read(text: str) -> Rules:
    """The rules of a file."""
    return Rules(line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n"))


def parse(line: str) -> Rule | None:
    """The rule of one line; None when it is none, or can fit nothing."""
    text = _trimmed(line)
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text[1:] if negated else text
    folders_only = text.endswith("/")
    text = text[:-1] if folders_only else text
    whole = "/" in text
    text = text.removeprefix("/")
    pattern = _translated(text, whole) if text else None
    if pattern is None:
        return None
    return Rule(negated, folders_only, whole, re.compile(pattern, re.DOTALL))


def _union(rules: Iterable[Rule]) -> re.Pattern[str] | None:
    parts = [f"(?:{rule.match.pattern})" for rule in rules]
    return re.compile("|".join(parts), re.DOTALL) if parts else None


def _trimmed(line: str) -> str:
    """Without the blanks at its end that no backslash keeps."""
    end = len(line)
    while end and line[end - 1] == " ":
        slashes = end - 1 - len(line[: end - 1].rstrip("\\"))
        if slashes % 2:
            break
        end -= 1
    return line[:end]


def _translated(text: str, whole: bool) -> str | None:
    """As a regular expression that gives each star back at most once, so that no pattern takes long.

    git looks at what stands before the first star by itself, so two stars behind plain text are as good as behind a slash.
    """
    runs: list[list[str]] = [[""]]  # between `**/`, what stands between single stars
    last = ""  # what joins the last run to those before
    at = 0
    while at < len(text):
        char = text[at]
        part = re.escape(char)
        if char == "*":
            end = at + len(text[at:]) - len(text[at:].lstrip("*"))
            if (
                whole
                and end - at > 1
                and (at == 0 or text[at - 1] == "/" or not re.search(r"[*?\[\\]", text[:at]))
                and text[end : end + 1] in ("", "/")
            ):
                last = "(?:.*/)?" if end < len(text) else ".+" if at == 0 or text[at - 1] == "/" else ".*"
                runs.append([""])
                end += 1
            else:
                runs[-1].append("")
            at = end
            continue
        if char == "?":
            part = "[^/]"
        elif char == "[":
            closed = _bracket(text, at)
            if closed is None:
                return None
            at, part = closed[0] - 1, closed[1]
        elif char == "\\":
            at += 1
            if at == len(text):
                return None
            part = re.escape(text[at])
        runs[-1][-1] += part
        at += 1
    first, *between = [_run(run) for run in runs]
    if not between:
        return first
    # Where one run fits after the one before for the first time is as good as any other place.
    middle = "".join(rf"(?>(?:[^/]*/)*?{run})" for run in between[:-1] if run)
    return f"{first}{middle}{last}{between[-1]}"


def _run(parts: list[str]) -> str:
    """Parts with a star between each two. The first place where a part fits is as good as any other."""
    if len(parts) == 1:
        return parts[0]
    middle = "".join(f"(?>[^/]*?{part})" for part in parts[1:-1] if part)
    return f"{parts[0]}{middle}[^/]*{parts[-1]}"


def _bracket(text: str, at: int) -> tuple[int, str] | None:
    """Where to go on after a set, and the set; None when it has no end."""
    at += 1
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    inside: list[str] = []
    first = True
    while at < len(text) and (first or text[at] != "]"):
        first = False
        named = re.match(r"\[:(\w+):\]", text[at:])
        if named:
            if named[1] not in _CLASSES:
                return None
            inside.append(_CLASSES[named[1]])
            at += named.end()
            continue
        low, at = _one(text, at)
        if low is None:
            return None
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("", "]"):
            high, at = _one(text, at + 1)
            if high is None:
                return None
            if low <= high:
                inside.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            inside.append(re.escape(low))
    if at >= len(text):
        return None
    kept = "".join(inside)
    if not kept:
        return at + 1, "[^/]" if negated else "(?!)"
    return at + 1, f"(?!/)[{'^' if negated else ''}{kept}]"


def _one(text: str, at: int) -> tuple[str | None, int]:
    if text[at] == "\\":
        at += 1
    return (text[at], at + 1) if at < len(text) else (None, at)
