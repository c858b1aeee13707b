"""The rooms that there are: one line each, loaded only when one is asked for.

The daemon takes all of them; the command line shows the lines and loads the one room that a command belongs to.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from att.catalogue import Catalogue, Room

# name of the room: (module, what it is about). The module holds the room as `room`.
ROOMS: dict[str, tuple[str, str]] = {
    "project": ("att.project.operations", "Projects: create, list, show, delete."),
    "code": ("att.code.operations", "A project's files: list, read, write, move, delete, search, compare."),
    "git": ("att.git.operations", "The project's repository: status, history, branches, commits, remotes."),
    "runtime": ("att.runtime.operations", "The running app: start, stop, status, logs, evaluation."),
    "test": ("att.testing.operations", "The project's own tests: run, results."),
    "deploy": ("att.deploy.operations", "Versions of the app: build, bring out, take back."),
    "debug": ("att.debug.operations", "Looking into the app: errors, log records, profiles."),
    "release": ("att.release.operations", "Releases of ATT itself: make, switch, go back."),
    "workflow": ("att.workflow.operations", "Long work: how it goes, its end, going on with it."),
    "token": ("att.token.operations", "Named tokens: who may ask what."),
    "mcp": ("att.mcp.operations", "The MCP server: how it is reached, its tools and resources."),
    "event": ("att.event.operations", "What happened: list, follow, delete."),
    "health": ("att.health.operations", "Whether ATT itself is well."),
}


def room(name: str) -> Room:
    """One room, loaded now. KeyError for a name that is none."""
    from att.catalogue import Room

    found = import_module(ROOMS[name][0]).room
    if not isinstance(found, Room):
        raise TypeError(f"{ROOMS[name][0]}.room is no Room")
    return found


def catalogue() -> Catalogue:
    """Everything ATT can do."""
    from att.catalogue import Catalogue

    return Catalogue(room(name) for name in ROOMS)
