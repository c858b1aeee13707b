"""How a file of ours is told from a foreign one, and from one of ours that was changed by hand. Does no I/O.

One line of it says who made it, with the digest of all the other lines, and for which home and address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

WORD = "att-service"


class Standing(Enum):
    FOREIGN = "foreign"
    EDITED = "changed by hand"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Found:
    """What a file turned out to be; `facts` is empty for a foreign one."""

    standing: Standing
    facts: Mapping[str, str]


def mark(lines: list[str], at: int, facts: Mapping[str, str], around: tuple[str, str]) -> str:
    """The text with our line put in at `at`, between the two ends of a comment."""
    told = json.dumps({"digest": _digest(lines), **facts})
    told = told.replace("--", "-\\u002d")  # two dashes end the comment of a property list
    line = f"{around[0]}{WORD} {told}{around[1]}"
    return "\n".join([*lines[:at], line, *lines[at:]]) + "\n"


def examine(text: str) -> Found:
    """What this file is."""
    lines = text.removesuffix("\n").split("\n")
    for at, line in enumerate(lines[:10]):
        before, found, told = line.partition(f"{WORD} {{")
        if not found or before.strip() not in ("#", "<!--"):
            continue
        try:
            facts, _ = json.JSONDecoder().raw_decode("{" + told)
        except ValueError:
            return Found(Standing.EDITED, {})
        facts = {str(key): str(value) for key, value in facts.items()}
        same = facts.pop("digest", "") == _digest(lines[:at] + lines[at + 1 :])
        return Found(Standing.OURS if same else Standing.EDITED, facts)
    return Found(Standing.FOREIGN, {})


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
