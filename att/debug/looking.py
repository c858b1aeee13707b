"""Errors and records of a project's log, and the profile of its last evaluation, as they are asked for."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from att.confine import FileMissing, Inside
from att.debug import profiles, showing
from att.debug.errors import MalformedProfile, NoProfile
from att.debug.joining import Entry
from att.debug.models import (
    ErrorPage,
    Profile,
    ReadErrors,
    ReadProfile,
    ReadRecords,
    RecordPage,
)
from att.debug.reading import Found, Hint, Reading, Take
from att.runtime import config, evaluation, preflight, translate
from att.runtime.service import Runtime
from att.store.times import stamp
from supervisor.logs.log import Log
from supervisor.logs.select import check, matcher
from supervisor.logs.values import Filters

MOST_GROUPED = 2000  # errors that are looked through to group them
MOST_FILE = 64 * 1024 * 1024


async def records(ask: ReadRecords, runtime: Runtime) -> RecordPage:
    """A page of records."""
    log = await runtime.log(ask.project_id)
    fits = _fits(ask)

    def take(entry: Entry) -> bool:
        return (
            showing.at_least(entry, ask.level)
            and (ask.stream is None or entry.stream == ask.stream)
            and fits(entry)
        )

    with translate.logs():
        reading, found = await _read(log, ask, take, ask.limit, None)
    told = [showing.record(entry) for entry in found.entries]
    return RecordPage(records=told, **_positions(log, reading, found))


async def errors(ask: ReadErrors, runtime: Runtime) -> ErrorPage:
    """A page of errors."""
    log = await runtime.log(ask.project_id)
    own = await runtime.folder(ask.project_id), runtime.sources.artefacts(ask.project_id)
    folders = [str(folder) for folder in own]
    fits = _fits(ask)

    def take(entry: Entry) -> bool:
        if not showing.at_least(entry, ask.level) or not fits(entry):
            return False
        if ask.type is None:
            return True
        named = showing.error(entry, folders).type or ""
        return named == ask.type or named.endswith(f".{ask.type}")

    with translate.logs():
        reading, found = await _read(
            log, ask, take, MOST_GROUPED if ask.group else ask.limit, _may_be_an_error
        )
    told = [showing.error(entry, folders) for entry in found.entries]
    if ask.group:
        told = showing.grouped(told)[-ask.limit :]
    return ErrorPage(errors=told, **_positions(log, reading, found))


async def profile(ask: ReadProfile, runtime: Runtime) -> Profile:
    """What the profiler measured in the last evaluation."""
    folder = await runtime.folder(ask.project_id)
    return await asyncio.to_thread(_profile, ask, folder)


def _fits(ask: ReadRecords | ReadErrors) -> Take:
    """What both kinds of questions ask of a record."""
    matches = None
    if ask.pattern is not None:
        with translate.logs():
            check(Filters(grep=ask.pattern))
        matches = matcher(ask.pattern)

    def fits(entry: Entry) -> bool:
        return (
            (ask.run is None or entry.run == ask.run)
            and showing.of_logger(entry, ask.logger)
            and (matches is None or matches(entry.text))
        )

    return fits


def _may_be_an_error(text: str, level: str | None) -> bool:
    """Whether an error could begin with this line; for a first, quick look."""
    return (
        (level is not None and level not in ("debug", "info"))
        or text.startswith('  File "')
        or "Traceback (most recent call last)" in text
    )


async def _read(
    log: Log, ask: ReadRecords | ReadErrors, take: Take, limit: int, hint: Hint | None
) -> tuple[Reading, Found]:
    reading = Reading(log, hint=hint)
    found = await reading.read(
        take,
        cursor=ask.cursor,
        direction=ask.direction,
        limit=limit,
        since=ask.since,
        until=ask.until,
    )
    return reading, found


def _positions(log: Log, reading: Reading, found: Found) -> dict[str, Any]:
    return {
        "previous_cursor": None if found.previous is None else reading.cursor(found.previous),
        "next_cursor": reading.cursor(found.next),
        "newest_cursor": log.newest,
        "lost": found.lost,
        "complete": found.complete,
    }


def _profile(ask: ReadProfile, folder: Path) -> Profile:
    inside = Inside(folder)
    into = _output(ask, folder, inside)
    there = _there(inside, into)
    if not any(name in there for name in (profiles.STEPS, profiles.INFERENCE)):
        raise NoProfile(f"There are no files of a profiler in {into}.", looked_in=into)
    newest = max(there.values())
    found = profiles.read(
        _text(inside, into, profiles.STEPS) if profiles.STEPS in there else None,
        _text(inside, into, profiles.INFERENCE) if profiles.INFERENCE in there else None,
        ask.limit,
    )
    return Profile(
        project_id=ask.project_id,
        folder=into,
        measured_at=stamp(datetime.fromtimestamp(newest, UTC)),
        files=list(there),
        **found,
    )


def _output(ask: ReadProfile, folder: Path, inside: Inside) -> str:
    """The folder of the results, which must lie in the project."""
    named = ask.folder
    if named is None:
        settings = preflight.read_settings(folder)
        found = config.read(config.find(folder, settings.config), {})
        path = evaluation.output_dir(found, folder)
        if not path.is_relative_to(folder):
            raise NoProfile(
                f"The config has the results written to {path}, outside of the project.", looked_in=str(path)
            )
        named = str(path.relative_to(folder))
    return str(inside.resolve(named).relative_to(inside.root))


def _there(inside: Inside, into: str) -> dict[str, float]:
    """The files of the profiler that are there, and when each was last written."""
    found = {}
    for name in profiles.FILES:
        with suppress(FileMissing):
            status = inside.status(f"{into}/{name}")
            if not stat.S_ISDIR(status.st_mode):
                found[name] = status.st_mtime
    return found


def _text(inside: Inside, into: str, name: str) -> str:
    with os.fdopen(inside.open(f"{into}/{name}"), "rb") as file:
        data = file.read(MOST_FILE + 1)
    if len(data) > MOST_FILE:
        raise MalformedProfile(f"{name} is larger than {MOST_FILE} bytes.", file=name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedProfile(f"{name} is not UTF-8.", file=name) from None
