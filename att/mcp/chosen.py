"""Which rooms of tools a client wants: all, or those that the address names, `/mcp?rooms=project,code`. Does no I/O.

All tools take a good part of what a model can hold in mind, and few agents need all. The choice saves room and is no right: what
a token may do, its scopes say. Resources and prompts stay; of a prompt's steps, those whose tool is offered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl, quote

from att.mcp.errors import UnknownRoom
from att.mcp.names import Spelling, advertised

Rooms = frozenset[str]
NAME = "rooms"

_BEGIN = """\
ATT keeps one NVIDIA NeMo Agent Toolkit (NAT) app running on this machine and lets you see, change, test and deploy it.
"""
_WAY = """\
Begin with {first} and use the ids it tells. Tools are named
{name}. A failure carries a stable `code` and a `hint` that says what to do. Long lists come in pages: pass
`next_cursor` back as `cursor`. Long work answers with a run: give `wait` (seconds) to wait for its end with progress, or look
at it by its `run_id`."""
_SOME = "\nOf the rooms only these are offered here, as the client has chosen: {rooms}."


def room_of(operation: str) -> str:
    """The room that an operation belongs to, by its name."""
    return operation.partition(".")[0]


def rooms_of(operations: Iterable[str]) -> Rooms:
    """All rooms of these operations."""
    return frozenset(map(room_of, operations))


def split(text: str) -> list[str]:
    """The names in `project,code`."""
    return [name for part in text.split(",") if (name := part.strip())]


def chosen(query: str, known: Collection[str]) -> Rooms | None:
    """What the query of an address chooses; None: all. UnknownRoom for a name that is none, or when no room is named."""
    if NAME not in query:
        return None
    given = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == NAME]
    return checked([name for value in given for name in split(value)], known) if given else None


def checked(names: Iterable[str], known: Collection[str]) -> Rooms:
    """The rooms of these names, of which there must be some. UnknownRoom for one that is none."""
    found = frozenset(names)
    if found and found <= set(known):
        return found
    unknown = sorted(name[:64] for name in found.difference(known))[:10]
    told = ", ".join(sorted(known))
    words = f"There is no room {', '.join(unknown)}" if unknown else "No room is named"
    raise UnknownRoom(f"{words}; there are {told}.", unknown=unknown, known=sorted(known))


def query(names: Collection[str]) -> str:
    """What stands behind the address for these rooms; nothing for all."""
    return f"?{NAME}={quote(','.join(names), safe=',')}" if names else ""


def instructions(spelling: Spelling, rooms: Rooms | None) -> str:
    """What a client is told of the server as a whole."""
    listing = f"the tool {advertised('project.list', spelling)} (or the resource att://projects)"
    first = listing if rooms is None or "project" in rooms else "the resource att://projects"
    some = _SOME.format(rooms=", ".join(sorted(rooms))) if rooms is not None else ""
    return _BEGIN + _WAY.format(first=first, name=advertised("<room>.<verb>", spelling)) + some
