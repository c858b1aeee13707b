"""Answers for people: tables and lists on a terminal, plain aligned text elsewhere.

The form follows the answer's shape, not its name: a page of things is a table, one thing is a list of its fields, lines of
a log are themselves. `rich` is loaded only for a terminal. Text that comes from an app is shown without control
sequences, colours aside, since a terminal obeys them.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

_CONTROL = re.compile(
    r"\x1b\[[0-9;:]*m|(\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b.?|[\x00-\x08\x0b-\x1f\x7f\x80-\x9f])",
    re.DOTALL,
)
_GOOD = frozenset({"running", "healthy", "ok", "ready", "true", "yes"})
_BAD = frozenset({"failed", "unhealthy", "error", "broken", "false", "refused"})
_WAITING = frozenset({"starting", "stopping", "backoff", "building", "degraded", "stale", "warning"})
LINE = 80  # characters of a thing within a thing; a longer one is shown field by field
CELL = 160  # characters of a cell of a table
MORE = " …"
_LEVELS = {"error": "31", "critical": "31;1", "warning": "33", "debug": "2"}


def harmless(text: str) -> str:
    """The text without control sequences; colours stay."""
    return _CONTROL.sub(lambda found: "" if found[1] else found[0], text)


class Screen:
    """Where answers are shown."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self.terminal = self.out.isatty()

    def show(self, answer: Any) -> None:
        """One answer of the API."""
        if not isinstance(answer, dict):
            self.print(json.dumps(answer, ensure_ascii=False))
        elif (name := lines_of(answer)) is not None:
            self.lost(answer.get("lost"))
            for line in answer[name]:
                self.line(line)
        elif is_piece(answer):
            self.lost(answer.get("lost"))
            self.piece({**answer, "complete": True})
            if not answer["complete"]:
                self.note(f"There is more: --cursor {answer['next_cursor']}")
        elif (name := table_of(answer)) is not None:
            self.table(answer[name], empty=f"There are no {name.replace('_', ' ')}.")
            if answer.get("next_cursor"):
                self.note(f"There are more: --cursor {answer['next_cursor']}")
        else:
            if (name := empty_page_of(answer)) is not None:
                self.note(f"There are no {label(name)}.")
            self.fields(answer)

    def print(self, text: str) -> None:
        self.out.write(f"{text}\n")

    def note(self, text: str) -> None:
        self.print(f"\x1b[2m{text}\x1b[0m" if self.terminal else text)

    def line(self, line: Mapping[str, Any]) -> None:
        """A line of a log."""
        text = str(line["text"])
        if not self.terminal:
            self.out.write(text if line.get("continued") else f"{text}\n")
            return
        colour = _LEVELS.get(str(line.get("level")), "")
        text = harmless(text)
        self.out.write(
            f"\x1b[{colour}m{text}\x1b[0m\n"
            if colour
            else f"{text}\x1b[0m\n"
            if "\x1b" in text
            else f"{text}\n"
        )

    def piece(self, told: Mapping[str, Any]) -> None:
        """A piece of a text, which may end within a line."""
        text = str(told["text"])
        self.out.write(harmless(text) if self.terminal else text)
        if told["complete"] and text and not text.endswith("\n"):
            self.out.write("\n")

    def lost(self, lost: Mapping[str, Any] | None) -> None:
        if lost:
            count = f"{lost['lines']} lines" if lost.get("lines") is not None else "some lines"
            self.note(f"--- {count} lost ({size(lost['bytes'])}) ---")

    def event(self, told: Mapping[str, Any]) -> None:
        """One object of a stream."""
        if is_piece(told):
            self.lost(told.get("lost"))
            self.piece(told)
        elif "text" in told:
            self.line(told)
        elif "lost" in told:
            self.lost(told["lost"])
        elif isinstance(told.get("state"), dict):
            if self.terminal:
                about = ", ".join(
                    f"{k} {v}" for k, v in told["state"].items() if v not in (None, "") and k != "state"
                )
                self.note(f"--- {told['state'].get('state')} ({about}) ---")
        elif "event_type" in told:
            self.print(
                "  ".join(
                    value_text(k, told.get(k)) for k in ("timestamp", "event_type", "project_id", "payload")
                )
            )
        else:
            self.print("  ".join(f"{k}={value_text(k, v)}" for k, v in told.items()))
        self.out.flush()

    def fields(self, thing: Mapping[str, Any], indent: str = "") -> None:
        """One thing: what is null or empty is left out."""
        told = {k: v for k, v in thing.items() if v not in (None, [], {}, "")}
        tables = {k: v for k, v in told.items() if _is_table(v)}
        inner = {k: v for k, v in told.items() if isinstance(v, dict) and len(value_text(k, v)) > LINE}
        plain = {k: v for k, v in told.items() if k not in tables and k not in inner}
        width = max((len(label(k)) for k in plain), default=0)
        for key, value in plain.items():
            text = value_text(key, value)
            shown = f"\n{indent}{' ' * (width + 2)}".join(text.split("\n"))
            self.print(f"{indent}{label(key):<{width}}  {self._coloured(text, shown)}")
        for key, each in inner.items():
            self.print(f"{indent}{label(key)}:")
            self.fields(each, f"{indent}  ")
        for key, rows in tables.items():
            self.print(f"{indent}{label(key)}:")
            if any("\n" in str(value) for row in rows for value in row.values()):
                self._blocks(rows)
            else:
                self.table(rows)

    def _blocks(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Things that have texts of several lines, one below the other."""
        for number, row in enumerate(rows):
            if number:
                self.print("")
            self.fields({k: "" if v is None else value_text(k, v) for k, v in row.items()}, "  ")

    def _coloured(self, text: str, shown: str) -> str:
        colour = self.terminal and (
            ("32" if text in _GOOD else "")
            or ("31" if text in _BAD else "")
            or ("33" if text in _WAITING else "")
        )
        return f"\x1b[{colour}m{shown}\x1b[0m" if colour else shown

    def table(
        self, rows: Sequence[Mapping[str, Any]], *, empty: str = "", columns: Iterable[str] = ()
    ) -> None:
        if not rows:
            self.note(empty)
            return
        names = list(columns) or columns_of(rows)
        whole = [[value_text(name, row.get(name)) for name in names] for row in rows]
        cells = [[in_a_cell(text) for text in row] for row in whole]
        if self.terminal:
            self._rich_table(names, cells)
        else:
            heads = [label(name) for name in names]
            widths = [max(len(each[i]) for each in [heads, *cells]) for i in range(len(names))]
            for row in [heads, *cells]:
                self.print(
                    "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
                )
        if any(
            cell.endswith(MORE) and cell != text
            for row in zip(cells, whole, strict=True)
            for cell, text in zip(*row, strict=True)
        ):
            self.note("What ends with … is longer: --json tells all of it.")

    def _rich_table(self, names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(
                label(name), justify="right" if name.endswith(("_bytes", "_percent", "pid")) else "left"
            )
        styles = {
            **dict.fromkeys(_GOOD, "green"),
            **dict.fromkeys(_BAD, "red"),
            **dict.fromkeys(_WAITING, "yellow"),
        }
        for row in cells:
            table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
        Console(file=self.out).print(table)


def lines_of(answer: Mapping[str, Any]) -> str | None:
    """The name of the member that holds lines of a log."""
    lines = answer.get("lines")
    found = isinstance(lines, list) and all(isinstance(line, dict) and "text" in line for line in lines)
    return "lines" if found and "next_cursor" in answer else None


def is_piece(answer: Mapping[str, Any]) -> bool:
    """Whether it is a piece of a longer text."""
    return isinstance(answer.get("text"), str) and isinstance(answer.get("complete"), bool)


def in_a_cell(text: str) -> str:
    """What fits into a cell of a table: a line, and not an endless one."""
    text = text.strip("\n")
    first = text.partition("\n")[0][:CELL]
    return first if first == text else f"{first}{MORE}"


def table_of(answer: Mapping[str, Any]) -> str | None:
    """The name of the one list that a page is about."""
    lists = [name for name, value in answer.items() if isinstance(value, list)]
    about = {"next_cursor", "previous_cursor", "last_id", "total", *lists}
    return lists[0] if len(lists) == 1 and set(answer) <= about else None


def empty_page_of(answer: Mapping[str, Any]) -> str | None:
    """The name of the one list of a page with more than cursors beside it, when nothing stands in it."""
    lists = [name for name, value in answer.items() if isinstance(value, list)]
    return lists[0] if "next_cursor" in answer and len(lists) == 1 and not answer[lists[0]] else None


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The members that at least one row has something in."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if any(row.get(name) not in (None, "", [], {}) for row in rows)]


def label(name: str) -> str:
    for end in ("_bytes", "_percent", "_seconds"):
        name = name.removesuffix(end)
    return name.replace("_", " ")


def value_text(name: str, value: Any) -> str:
    """A value in words: sizes in units, times in this machine's zone."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, int):
        return size(value)
    if name.endswith("_percent") and isinstance(value, int | float):
        return f"{value:.1f} %"
    if name.endswith("_seconds") and isinstance(value, int | float):
        return duration(value)
    if name == "progress" and isinstance(value, float):
        return f"{value:.0%}"
    if (name.endswith(("_at", "_until")) or name == "timestamp") and isinstance(value, str):
        return moment(value)
    if name == "command" and isinstance(value, list):
        import shlex

        return harmless(shlex.join(map(str, value)))
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return harmless((", " if sum(map(len, value)) < 100 else "\n").join(value))
    if isinstance(value, dict | list):
        return harmless(json.dumps(value, ensure_ascii=False))
    return harmless(str(value))


def size(count: int) -> str:
    """A number of bytes with a unit."""
    amount, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{count} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def duration(seconds: float) -> str:
    """Seconds as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours == 0:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{hours} h {minutes % 60} min" if days == 0 else f"{days} d {hours % 24} h"


def moment(text: str) -> str:
    """A time of the API in this machine's zone, to the second."""
    try:
        found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return harmless(text)
    return found.astimezone().strftime("%Y-%m-%d %H:%M:%S")
