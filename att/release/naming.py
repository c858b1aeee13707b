"""The id of a release: when it was made and from what. Does no I/O.

`20261121T010203Z-0a1b2c3d4e`: the order of the names is the order in time, and the second part is the beginning of the
commit, or of the digest of the source where there is no commit that it equals.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

SHORT = 10


def release_id(moment: datetime, origin: str, taken: Collection[str] = ()) -> str:
    """A name that is not among those `taken`. `origin` is a commit or a digest in hexadecimal."""
    name = f"{moment.astimezone(UTC).strftime('%Y%m%dT%H%M%SZ').rjust(16, '0')}-{origin[:SHORT]}"
    number = 1
    found = name
    while found in taken:
        number += 1
        found = f"{name}.{number}"
    return found
