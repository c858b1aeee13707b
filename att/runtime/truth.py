"""The real error of a run that failed, out of its last lines. Pure.

NAT's last line is often `Error: 'FastApiFrontEndPlugin' object has no attribute '_dask_client'`, whatever the matter was; before
it stands a general "Failed to initialize workflow"; and each start prints tracebacks of optional packages that are only
warnings. So: the misleading line, the general ones and everything that belongs to a WARNING are left out; of the rest the last
exception, ERROR record or click message wins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from att.runtime.nat import MISLEADING

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_RECORD = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)? - (DEBUG|INFO|WARNING|ERROR|CRITICAL)\s*:?\s*(.*)$"
)
_NAT_REST = re.compile(r"^- [\w.]+:\d+ - (.*)$", re.DOTALL)
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Group|Failure|Timeout|NotFound)?(?:: |$)"
)
_GENERAL = (
    "Failed to initialize workflow",
    "Application startup failed. Exiting.",
    "Error initializing workflow",
    "Traceback (most recent call last):",
    "Exception in ASGI application",
)
_TAG = re.compile(
    r"(?:^|[ :])([\w.\[\]-]+): Input tag '([^']*)' found using .*? does not match any of the expected tags: (.*)",
    re.DOTALL,
)
_BIND = re.compile(r"error while attempting to bind on address \('?([^',)]*)'?, (\d+)")
_MODULE = re.compile(r"No module named '([\w.]+)'")
MOST = 2000


class Cause(StrEnum):
    """What kind of mistake it is, where that can be told from the words."""

    UNKNOWN_COMPONENT = "unknown_component"
    INVALID_CONFIG = "invalid_nat_config"
    PORT_IN_USE = "port_in_use"
    MODULE_MISSING = "module_missing"
    OTHER = "start_failed"


@dataclass(frozen=True, slots=True)
class Truth:
    """`text` is the sentence to show; the rest is filled in where the cause is known."""

    text: str
    cause: Cause = Cause.OTHER
    component: str = ""
    place: str = ""
    known: tuple[str, ...] = ()
    module: str = ""
    port: int | None = None


def find(lines: Sequence[str]) -> Truth | None:
    """The truth in the last lines of a run; None when they tell of no error."""
    text = _last_error([_ANSI.sub("", line).rstrip() for line in lines])
    return understand(text) if text else None


def understand(text: str) -> Truth:
    """What kind of error the sentence tells of."""
    short = text if len(text) <= MOST else text[:MOST] + " …"
    tag = _TAG.search(text)
    if tag:
        known = tuple(sorted({name.rsplit("/", 1)[-1] for name in re.findall(r"'([^']+)'", tag[3])}))
        sentence = f"{tag[1]}: there is no component `{tag[2]}`"
        return Truth(sentence, Cause.UNKNOWN_COMPONENT, component=tag[2], place=tag[1], known=known)
    bind = _BIND.search(text)
    if bind:
        return Truth(short, Cause.PORT_IN_USE, port=int(bind[2]))
    if "Invalid configuration:" in text:
        return Truth(short, Cause.INVALID_CONFIG)
    module = _MODULE.search(text)
    if module:
        return Truth(short, Cause.MODULE_MISSING, module=module[1])
    return Truth(short)


@dataclass(slots=True)
class _Record:
    level: str
    first: str
    rest: list[str]


def _records(lines: Sequence[str]) -> list[_Record]:
    """Timestamped records with what follows each; what comes before the first one, and what plainly is none, stands alone."""
    found: list[_Record] = []
    for line in lines:
        head = _RECORD.match(line)
        if head:
            message = _NAT_REST.match(head[2])
            found.append(_Record(head[1], message[1] if message else head[2], []))
        elif line.startswith("Error: ") or (line == "Traceback (most recent call last):" and _at_end(found)):
            found.append(_Record("", line, []))
        elif found:
            found[-1].rest.append(line)
        else:
            found.append(_Record("", line, []))
    return found


def _at_end(found: list[_Record]) -> bool:
    """Whether a traceback that begins here is no part of the record before it: NAT's own start with a message of their own."""
    return bool(found) and (
        found[-1].level in ("INFO", "DEBUG") or (found[-1].level == "WARNING" and bool(_exception(found[-1])))
    )


def _last_error(lines: Sequence[str]) -> str:
    records = [
        r
        for r in _records(lines)
        if MISLEADING not in r.first and r.level not in ("DEBUG", "INFO", "WARNING")
    ]
    for record in reversed(records):
        said = _exception(record) or _message(record)
        if said:
            return said
    return ""


def _exception(record: _Record) -> str:
    """The last exception of the record's traceback, with the lines of its message."""
    block = [record.first, *record.rest]
    if not any(line.strip().endswith("Traceback (most recent call last):") for line in block):
        return ""
    inside = False
    start = None
    for number, line in enumerate(block):
        if line.strip().endswith("Traceback (most recent call last):"):
            inside = True
        elif inside and line and not line[0].isspace() and _EXCEPTION.match(line) and MISLEADING not in line:
            start, inside = number, False
    if start is None:
        return ""
    message: list[str] = []
    for line in block[start : start + 20]:
        if message and (not line.strip() or line.startswith(("During handling", "The above exception"))):
            break
        message.append(line)
    return "\n".join(message)


def _message(record: _Record) -> str:
    if record.first.startswith("Error: "):
        return record.first.removeprefix("Error: ")
    if record.level not in ("ERROR", "CRITICAL") or record.first.startswith(_GENERAL):
        return ""
    return record.first
