"""From records to what is told of them: which are errors, what they raised, which are equal. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePath

from att.debug.joining import Entry
from att.debug.models import ErrorFrame, ErrorLink, ErrorRecord, LogRecord
from att.debug.tracebacks import Frame, Raised, parse
from supervisor.logs.records import LEVELS

MOST_TEXT = 16 * 1024
MOST_MESSAGE = 4 * 1024
MOST_CODE = 500
FIRST_FRAMES, LAST_FRAMES = 20, 80
MOST_LINKS = 50
_CHANGING = re.compile(r"0x[0-9a-fA-F]+|\d+")
_ELSEWHERE = frozenset({".venv", "venv", "site-packages", "dist-packages"})
Key = tuple[object, ...]


def at_least(entry: Entry, level: str | None) -> bool:
    """Whether the record is of this level or worse."""
    return level is None or LEVELS.get(entry.level or "", 0) >= LEVELS[level]


def of_logger(entry: Entry, name: str | None) -> bool:
    return name is None or entry.logger == name or (entry.logger or "").startswith(f"{name}.")


def record(entry: Entry) -> LogRecord:
    text = shortened(entry.text, MOST_TEXT)
    return LogRecord(
        cursor=entry.cursor,
        at=entry.at,
        level=entry.level,
        logger=entry.logger,
        stream=entry.stream,
        run=entry.run,
        message=shortened(entry.message, MOST_MESSAGE),
        text=text,
        lines=entry.lines,
        cut=entry.cut or len(text) < len(entry.text),
    )


def error(entry: Entry, folders: Sequence[str]) -> ErrorRecord:
    """The record as an error; `folders`: where the project's own code lies."""
    whole = entry.text
    chain = parse(whole) if entry.traceback else ()
    last = chain[-1] if chain else None
    text = shortened(whole, MOST_TEXT)
    return ErrorRecord(
        cursor=entry.cursor,
        at=entry.at,
        level=entry.level,
        logger=entry.logger,
        run=entry.run,
        type=(last.type or None) if last else None,
        message=shortened(last.message if last and last.type else entry.message, MOST_MESSAGE),
        frames=_frames(last.frames, folders) if last else [],
        chain=[_link(each, follower.why, folders) for each, follower in _pairs(chain)][-MOST_LINKS:],
        members=_members(last, folders, "")[:MOST_LINKS] if last else [],
        text=text,
        cut=entry.cut or len(text) < len(whole),
        first_at=entry.at,
    )


def key(found: ErrorRecord) -> Key:
    """The same for errors that differ in numbers and addresses only."""
    places = tuple((frame.file, frame.line, frame.function) for frame in found.frames)
    links = tuple(link.type for link in (*found.chain, *found.members))
    return found.type, _CHANGING.sub("#", found.message), places, links, found.logger


def grouped(found: Sequence[ErrorRecord]) -> list[ErrorRecord]:
    """Equal ones once, as the newest of them, in the order of those. The oldest first in and out."""
    groups: dict[Key, ErrorRecord] = {}
    for each in found:
        same = key(each)
        before = groups.pop(same, None)
        if before is not None:
            each = each.model_copy(update={"count": before.count + 1, "first_at": before.first_at})
        groups[same] = each
    return list(groups.values())


def in_project(file: str, folders: Sequence[str]) -> bool:
    """Whether a file of a traceback is the project's own code."""
    if file.startswith("<"):
        return False
    path = PurePath(file)
    if not path.is_absolute():
        return not _ELSEWHERE & set(path.parts)
    above = next((folder for folder in folders if path.is_relative_to(folder)), None)
    return above is not None and not _ELSEWHERE & set(path.relative_to(above).parts)


def shortened(text: str, most: int) -> str:
    """The text, cut in the middle where it is too long."""
    if len(text) <= most:
        return text
    half = (most - 40) // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _pairs(chain: Sequence[Raised]) -> list[tuple[Raised, Raised]]:
    return list(pairwise(chain))


def _frames(frames: Sequence[Frame], folders: Sequence[str]) -> list[ErrorFrame]:
    if len(frames) > FIRST_FRAMES + LAST_FRAMES:
        frames = [*frames[:FIRST_FRAMES], *frames[-LAST_FRAMES:]]
    return [
        ErrorFrame(
            file=frame.file[:1000],
            line=frame.line,
            function=frame.function,
            code=None if frame.code is None else frame.code[:MOST_CODE],
            in_project=in_project(frame.file, folders),
            repeated=frame.repeated,
        )
        for frame in frames
    ]


def _link(raised: Raised, why: str | None, folders: Sequence[str], path: str | None = None) -> ErrorLink:
    return ErrorLink.model_validate(
        {
            "type": raised.type,
            "message": shortened(raised.message, MOST_MESSAGE),
            "frames": _frames(raised.frames, folders),
            "why": None if why is None else str(why),
            "path": path,
        }
    )


def _members(raised: Raised, folders: Sequence[str], above: str) -> list[ErrorLink]:
    """All that is in a group, flat: the chain of each member and the members of those that are groups."""
    found: list[ErrorLink] = []
    for number, chain in enumerate(raised.members, 1):
        path = f"{above}{number}"
        found += [_link(each, follower.why, folders, path) for each, follower in _pairs(chain)]
        found.append(_link(chain[-1], None, folders, path))
        found += _members(chain[-1], folders, f"{path}.")
    return found
