"""Reading a regular file by its descriptor: its etag, a part of it, and how that part travels.

The etag of a file up to `HASHED` bytes is a digest of its content, so that a touch changes nothing and two equal contents
are equal. Larger ones are told apart by size, time and inode, so that none has to be read for it.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from att.code.errors import FileChanged, NotText
from att.code.models import Encoding, FileContent
from att.confine import Check
from att.store.times import stamp

HASHED = 8 << 20
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = 250_000_000_000.0  # near the last year that has four digits


def etag_of(data: bytes) -> str:
    """The etag of content that is as small as this."""
    return hashlib.sha256(data).hexdigest()[:32]


def etag(descriptor: int) -> str:
    """The etag of an open file."""
    found = os.fstat(descriptor)
    if found.st_size > HASHED:
        return _by_state(found)
    return etag_of(_read(descriptor, 0, found.st_size))


def checks(if_match: str | None) -> Check | None:
    """What lets a change happen only to the content that the caller has seen."""
    if if_match is None:
        return None
    wanted = [tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")]

    def check(present: int | None) -> None:
        found = None if present is None else etag(present)
        if found is None or ("*" not in wanted and found not in wanted):
            told = (
                "There is no such file any more."
                if found is None
                else f"The file has the etag {found!r} now."
            )
            raise FileChanged(told, etag=found)

    return check


@dataclass(frozen=True, slots=True)
class Piece:
    """What was read of a file, from `offset` on. `etag`: of all of it."""

    data: bytes
    offset: int
    found: os.stat_result
    etag: str


def piece_of(descriptor: int, offset: int, limit: int) -> Piece:
    """A part of an open file, as it is."""
    found = os.fstat(descriptor)
    return Piece(_read(descriptor, offset, limit), offset, found, etag(descriptor))


def content_of(piece: Piece, path: str, encoding: Encoding | None) -> FileContent:
    """The same as text, which is never cut inside of a character, or as base64. Waits for no disk."""
    found, data, offset = piece.found, piece.data, piece.offset
    more = offset + len(data) < found.st_size
    text = None if encoding is Encoding.BASE64 else _text(data, more)
    if text is None and encoding is Encoding.UTF8:
        raise NotText(
            f"{path[:200]!r} is not text in UTF-8.", fields=[{"field": "encoding", "message": "not text"}]
        )
    length = len(data) if text is None or not more else len(text.encode())
    return FileContent(
        path=path,
        content=base64.b64encode(data).decode() if text is None else text,
        encoding=Encoding.BASE64 if text is None else Encoding.UTF8,
        size=found.st_size,
        offset=offset,
        length=length,
        next_offset=offset + length if offset + length < found.st_size else None,
        etag=piece.etag,
        executable=bool(found.st_mode & 0o111),
        modified_at=moment(found.st_mtime),
    )


def _text(data: bytes, more: bool) -> str | None:
    """As text, without a character that is cut at the end; None when it is not text."""
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if more and error.start > 0 and len(data) - error.start < 4 and "unexpected end" in error.reason:
            return data[: error.start].decode()
        return None


def _read(descriptor: int, offset: int, limit: int) -> bytes:
    found = bytearray()
    while len(found) < limit and (
        piece := os.pread(descriptor, min(limit - len(found), 1 << 20), offset + len(found))
    ):
        found += piece
    return bytes(found)


def etag_told(data: bytes, found: os.stat_result) -> str:
    """The etag of what was just written."""
    return etag_of(data) if len(data) <= HASHED else _by_state(found)


def moment(seconds: float) -> str:
    """A time of the file system, as far as people reckon."""
    return stamp(_BEGINNING + timedelta(seconds=min(max(seconds, 0.0), _END)))


def _by_state(found: os.stat_result) -> str:
    return f"{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ino:x}"
