"""How operations are called at the MCP door. Does no I/O.

The name of a tool is the operation's with `att.` before: `att.runtime.start`. Several clients drop or break names with dots
(one of them the whole server), so names with underscores are advertised unless the settings say otherwise, and a call may
use either. Two operations whose names would be one are a fault of the program, found when the names are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from att.catalogue import Operation

PREFIX = "att."
LONGEST = 56  # 64, less what clients put before
_ALLOWED = re.compile(r"[A-Za-z0-9_]+")


class Spelling(StrEnum):
    """How `tools/list` writes names."""

    UNDERSCORE = "underscore"
    DOTTED = "dotted"


def canonical(operation: str) -> str:
    return PREFIX + operation


def flat(name: str) -> str:
    return name.replace(".", "_")


def advertised(operation: str, spelling: Spelling) -> str:
    """The name of an operation's tool in `tools/list`."""
    name = canonical(operation)
    return flat(name) if spelling is Spelling.UNDERSCORE else name


def spoken(operations: Iterable[Operation]) -> Mapping[str, str]:
    """Every name that a call may use, and the operation that it means. ValueError when one would mean two."""
    meaning: dict[str, str] = {}
    for operation in operations:
        for known in (operation.name, *operation.aliases):
            for name in {canonical(known), flat(canonical(known))}:
                if not _ALLOWED.fullmatch(flat(name)) or len(name) > LONGEST:
                    raise ValueError(f"{name} is no name for a tool")
                if meaning.setdefault(name, operation.name) != operation.name:
                    raise ValueError(f"{name} would mean both {meaning[name]} and {operation.name}")
    return meaning


def title(operation: str) -> str:
    """For people: `Runtime: logs delete`."""
    room, _, rest = operation.partition(".")
    return f"{room.capitalize()}: {rest.replace('.', ' ').replace('_', ' ')}" if rest else room.capitalize()
