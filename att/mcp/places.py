"""The resources: which addresses there are, which operations they are read by, and what makes them change. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

JSON = "application/json"
PROJECTS = "projects"
_ADDRESS = re.compile(r"att://project/([^/?#]{1,256})/([a-z]+)(?:\?([^#]*))?")


@dataclass(frozen=True, slots=True)
class Place:
    """One kind of resource."""

    name: str
    template: str
    about: str
    operations: tuple[str, ...]
    changed_by: tuple[str, ...]
    media_type: str = JSON
    query: tuple[str, ...] = ()


PLACES = (
    Place(
        PROJECTS,
        "att://projects",
        "The projects and how each of them is.",
        ("project.list",),
        ("project.", "runtime."),
    ),
    Place("files", "att://project/{id}/files", "The files of a project.", ("code.list",), ("code.", "git.")),
    Place(
        "config",
        "att://project/{id}/config",
        "The NAT config of a project, as it stands in its file.",
        ("project.get", "code.read"),
        ("code.", "git."),
        "application/yaml",
    ),
    Place(
        "tests",
        "att://project/{id}/tests",
        "The newest test results of a project.",
        ("test.results",),
        ("test.",),
    ),
    Place(
        "logs",
        "att://project/{id}/logs{?cursor,limit}",
        "The log of a project's app, page by page; without a cursor its last lines.",
        ("runtime.logs",),
        (),
        query=("cursor", "limit"),
    ),
    Place(
        "ci",
        "att://project/{id}/ci",
        "The checks of a project: what runs for its commits and pull requests.",
        ("git.actions",),
        ("git.",),
    ),
)


class Address(NamedTuple):
    """A resource of one project, or the list of projects."""

    place: str
    project_id: str | None
    query: Mapping[str, str]


def parse(uri: str) -> Address | None:
    """What an address means; None when it is none of ours. Parts of the query that are not known are left out."""
    if uri == "att://projects":
        return Address(PROJECTS, None, {})
    found = _ADDRESS.fullmatch(uri)
    place = next((p for p in PLACES if found and p.name == found[2] and p.name != PROJECTS), None)
    if found is None or place is None:
        return None
    project_id = unquote(found[1], errors="replace")
    pairs = parse_qsl(found[3] or "", keep_blank_values=True)
    return Address(place.name, project_id, {name: value for name, value in pairs if name in place.query})


def address(place: str, project_id: str) -> str:
    """The address of a resource of a project."""
    return f"att://project/{quote(project_id, safe='')}/{place}"


def plain_address(uri: str) -> str | None:
    """The address without its query, under which changes are told; None when it is none of ours."""
    found = parse(uri)
    if found is None:
        return None
    return uri if found.project_id is None else address(found.place, found.project_id)


def changed(event_type: str, project_id: str | None) -> set[str]:
    """The addresses that an event of this type makes worth reading again."""
    found = set()
    for place in PLACES:
        if any(event_type.startswith(word) for word in place.changed_by):
            if place.name == PROJECTS:
                found.add("att://projects")
            elif project_id is not None:
                found.add(address(place.name, project_id))
    return found


def lists_change(event_type: str) -> bool:
    """Whether an event of this type makes resources come or go."""
    return event_type in ("project.created", "project.cloned", "project.downloaded", "project.deleted")
