"""Large bodies: how much there may be in one beside its texts, and which values are worth a thread. Does no I/O.

Reading JSON takes a time by the number of values, not of bytes: fifteen megabytes of `[],[],` take seconds and gigabytes, as
many of one text take a hundredth of a second. So a large body may have large texts (a file to write), but what stands beside
them is bounded.
"""

from __future__ import annotations

from typing import Any

from att.bulk import LARGE
from att.http.errors import BodyTooLarge

BESIDE = 256 << 10
"""Bytes of a body that may stand beside its texts, the marks around these among them."""
_MANY = 500  # entries of a list


def beside_texts(raw: bytes) -> bytes:
    """A JSON body without what its texts say. `BodyTooLarge` when that is more than may be.

    Of what is no JSON it makes something, which whoever reads the body finds out.
    """
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > BESIDE:
        raise _too_much()
    found = b'""'.join(bare.split(b'"')[::2])
    if len(found) > BESIDE:
        raise _too_much()
    return found


def is_large(value: Any) -> bool:
    """Whether a JSON value has more in it than is worth reading on the loop."""
    left, rest = LARGE, [value]
    while rest and left > 0:
        each = rest.pop()
        if isinstance(each, str):
            left -= len(each)
        elif isinstance(each, dict):
            left -= len(each)
            rest += each.values()
        elif isinstance(each, list):
            left -= len(each)
            rest += each
    return left <= 0


def is_large_answer(result: Any) -> bool:
    """Whether a result takes long to write, by what stands in its own fields."""
    fields = list(vars(result).values())
    return any(isinstance(each, list) and len(each) > _MANY for each in fields) or is_large(fields)


def _too_much() -> BodyTooLarge:
    return BodyTooLarge(
        f"The body has more than {BESIDE} bytes beside its texts.",
        limit=BESIDE,
        hint="Send less at once, or large things as one text.",
    )
