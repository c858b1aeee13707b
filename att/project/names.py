"""What a project may be called, and the names that follow from that. Pure.

A name of 1 to 64 letters, digits, `-`, `_` and `.` stays as it is, but for dots and dashes at its beginning
and dots at its end (they would hide it or be read as a flag). Other characters become a dash, letters with
accents lose them. What cannot be told apart from a path, or has nothing left, is refused. Doing it twice
changes nothing.
"""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata

from att.project.errors import InvalidName

LONGEST = 64
_ELSE = re.compile(r"[^A-Za-z0-9._-]+")
_ID = re.compile(r"(?=[._-]*[a-z0-9])[a-z0-9_][a-z0-9._-]{0,63}")
_TAKEN = frozenset({"nat", "aiq", "tests", "att"}) | frozenset(keyword.kwlist) | sys.stdlib_module_names


def sanitised(wanted: str) -> str:
    """The name that the project gets; `InvalidName` when there is none in it."""
    if any(c in "/\\" or unicodedata.category(c) in ("Cc", "Cs") for c in wanted):
        raise _invalid(wanted, "it holds a slash or a control character")
    folded = unicodedata.normalize("NFKD", wanted)
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    if any(c in "/\\" for c in plain):
        raise _invalid(wanted, "it holds what reads as a slash")
    name = _ELSE.sub("-", plain.strip()).lstrip(".-")[:LONGEST].rstrip(".")
    if plain != name:
        name = name.rstrip(".-") if _ELSE.search(plain) else name
    if not any(c.isalnum() for c in name):
        raise _invalid(wanted, "nothing of it can stay")
    return name


def project_id(name: str) -> str:
    """The id of a project of this (sanitised) name.

    Names that differ only in case are one: file systems may think so too.
    """
    return name.lower()


def is_project_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def package_name(name: str) -> str:
    """A Python package for the project: an identifier that hides no other package of everybody's."""
    package = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if package[0].isdigit():
        package = f"app_{package}"
    return f"{package}_app" if package in _TAKEN else package


def distribution_name(name: str) -> str:
    """The same for `[project] name`: begins and ends with a letter or digit."""
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", name)


def _invalid(wanted: str, why: str) -> InvalidName:
    return InvalidName(
        f"{wanted[:LONGEST]!r} cannot be a project's name: {why}.", fields=[{"field": "name", "message": why}]
    )
