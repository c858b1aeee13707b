"""The arguments of a request before they are fitted: which project they are about, and values that exist."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

Given = dict[str, Any]

# -- which project an operation is about

BY_NAME = {
    "project.delete": "spare",
    "git.init": "spare",
    "runtime.eval": "evaluated",
    "debug.profile": "evaluated",
    "runtime.environment.cancel": "building",
    "workflow.cancel": "waiting",
}
BY_ROOM = {
    "code": "held",
    "git": "held",
    "git.pr": "forge",
    "git.actions": "forge",
    "test": "tested",
    "workflow": "tested",
    "deploy": "site",
}


def project_of(name: str) -> str:
    if name in BY_NAME:
        return BY_NAME[name]
    rooms = [room for room in BY_ROOM if f"{name}.".startswith(f"{room}.")]
    return BY_ROOM[max(rooms, key=len)] if rooms else "app"


# -- values that exist


def pick(value: object, among: Sequence[Any]) -> Any:
    return among[zlib.crc32(repr(value).encode("utf-8", "replace")) % len(among)]


def replaced(given: Given, **among: Sequence[Any]) -> None:
    """Each of these that was generated is one of those."""
    for name, values in among.items():
        if given.get(name) is not None:
            fresh = pick(given[name], values)
            given[name] = [fresh] if isinstance(given[name], list) else fresh


def without(given: Given, *names: str) -> None:
    for name in names:
        given.pop(name, None)


def tame(given: Given) -> None:
    """In every request: nothing is waited for, nothing is installed, and no engine makes images."""
    wait = given.get("wait")
    if isinstance(wait, str | int | float) and not isinstance(wait, bool) and _is_time(wait):
        given["wait"] = 0
    for inner in (given, given.get("test")):
        if isinstance(inner, dict) and inner.get("install"):
            inner["install"] = False
    if given.get("image"):
        given["image"] = False


def _is_time(value: str | float) -> bool:
    try:
        return 0 <= float(value) <= 60
    except ValueError:
        return False
