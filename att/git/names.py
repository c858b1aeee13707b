"""Which names a branch can have, by the rules of `git check-ref-format --branch`, and a remote; and what may
be said for a revision. Pure.

A file system sets one more bound: a part of a name becomes the name of a file, with `.lock` behind it.
"""

from __future__ import annotations

import re

from att.git.errors import InvalidBranch, InvalidRemote, UnknownRevision

_PART = 250
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")


def is_branch(name: str) -> bool:
    """Whether git takes `name` for a branch."""
    if not name or name.startswith("-") or name == "HEAD":
        return False
    if _FORBIDDEN.search(name) or ".." in name or "@{" in name or name.endswith("."):
        return False
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))


def branch(name: str, *, field: str = "name") -> str:
    """The name, if it is one."""
    if not is_branch(name):
        raise InvalidBranch(
            f"{name[:100]!r} is no name of a branch.", fields=[_field(field, "no name of a branch")]
        )
    if any(len(part.encode()) > _PART for part in name.split("/")):
        raise InvalidBranch(
            f"A part of the name is longer than {_PART} bytes.", fields=[_field(field, "too long")]
        )
    return name


def remote(name: str) -> str:
    """The name, if git takes it for that of a remote: a branch of it has to be one."""
    if not is_branch(name) or len(name.encode()) > _PART:
        raise InvalidRemote(
            f"{name[:100]!r} is no name of a remote.", fields=[_field("name", "no name of a remote")]
        )
    return name


def revision(text: str) -> str:
    """What git may be asked to resolve: no flag, no range."""
    if not text or text.startswith("-") or "\0" in text or "\n" in text or ".." in text:
        raise UnknownRevision(f"{text[:100]!r} names no commit.")
    return text


def _field(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}
