"""What the launcher's boot record and journal say of releases: read here, never written. Does no I/O.

The record (`boot.json`) is the launcher's; what it decides about releases is decided there. This file only understands it,
so that the doors can tell which release runs, which one comes next and where a rollback would lead.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

INSTALLED = "installed"


class State(StrEnum):
    """How a release stands. The launcher's own words, and those for what it does not know of."""

    BUILDING = "building"  # being made now
    BUILT = "built"  # complete on disk, the launcher was not told of it yet
    STAGED = "staged"
    TRYING = "trying"
    PROBATION = "probation"
    GOOD = "good"
    FAILED = "failed"
    MISSING = "missing"  # the launcher knows it, but its folder is gone


UNDECIDED = frozenset({State.TRYING, State.PROBATION})


@dataclass(frozen=True, slots=True)
class Standing:
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BootRecord:
    """The part of `boot.json` that is of interest. `releases` are in the order in which they were staged."""

    current: str | None = None
    previous: str | None = None
    staged: str | None = None
    rung: str = "normal"
    given_up: tuple[str, ...] = ()
    releases: Mapping[str, Standing] = field(default_factory=dict)

    def state(self, release: str | None) -> State | None:
        found = self.releases.get(release) if release is not None else None
        return None if found is None else found.state

    def named(self, word: str) -> str | None:
        """The release behind `current`, `previous` or `staged`; any other word is a release itself."""
        return {"current": self.current, "previous": self.previous, "staged": self.staged}.get(word, word)

    def way_back(self, present: Collection[str]) -> str | None:
        """Where a rollback leads: good, not the current one, still on disk; the previous one before the newest, at
        last what is installed beside the launcher. The launcher's own order."""
        newest_first = [name for name in reversed(list(self.releases)) if name != INSTALLED]
        for name in (self.previous, *newest_first, INSTALLED):
            there = name == INSTALLED or name in present
            if name is not None and name != self.current and there and self.state(name) is State.GOOD:
                return name
        return None


def parse(text: str | bytes) -> BootRecord:
    """The record in `text`. ValueError when it is none."""
    try:
        body = json.loads(text)
        releases = {name: _standing(entry) for name, entry in body["releases"].items()}
        return BootRecord(
            current=_name(body.get("current")),
            previous=_name(body.get("previous")),
            staged=_name(body.get("staged")),
            rung=str(body.get("rung", "normal")),
            given_up=tuple(str(name) for name in body.get("given_up", ())),
            releases=releases,
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ValueError(f"not a boot record: {type(fault).__name__}") from None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _standing(entry: Mapping[str, Any]) -> Standing:
    return Standing(State(entry["state"]), str(entry.get("reason", "")))


def is_name(text: str) -> bool:
    """One path segment of harmless letters, so that a name never leads out of the folder of releases."""
    letters = "._-+"
    return (
        0 < len(text) <= 128
        and text[0].isascii()
        and text[0].isalnum()
        and all(c.isascii() and (c.isalnum() or c in letters) for c in text)
    )
