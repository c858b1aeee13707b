"""The boot record: which release runs, which one ran before, and what is known of each.

A value that reads and writes itself as text; no file is touched here (`launcher.home` does that). The file
`boot.json` is small and meant to be readable by a person, who may also repair it by hand while the launcher
is not running. It is written whole and replaced in one step, so it is either the old one or the new one.
When it is missing or unreadable it is made anew from the releases on disk and from what the journal
remembers of them; what nobody remembers is trusted only as far as there is nothing better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from launcher.protocol import notation
from launcher.protocol.words import Any

VERSION = 1
INSTALLED = (
    "installed"  # the release that is no folder: the code beside the launcher, run by its own interpreter
)


class ReleaseState(StrEnum):
    """staged → trying → probation → good | failed."""

    STAGED = "staged"  # complete on disk, never run, or run and taken back without a verdict
    TRYING = "trying"  # started, not yet healthy
    PROBATION = "probation"  # healthy, but not yet for long enough
    GOOD = "good"
    FAILED = "failed"  # remembered; never started again until somebody stages it again


CANDIDATE = frozenset({ReleaseState.TRYING, ReleaseState.PROBATION})


class Rung(StrEnum):
    """How far down the ladder we are."""

    NORMAL = "normal"
    SAFE = "safe"  # the daemon runs with most of it switched off
    LAST = "last"  # not even that lives: the launcher itself answers


class BadRecordError(Exception):
    """The boot record cannot be used, and why."""


class Entry:
    """What is known of one release."""

    __slots__ = ("reason", "state")

    def __init__(self, state: ReleaseState, reason: str = "") -> None:
        self.state, self.reason = state, reason

    def __repr__(self) -> str:
        return f"Entry({self.state.value!r}, {self.reason!r})"


class Record:
    """The content of `boot.json`."""

    __slots__ = ("clean", "current", "deaths", "given_up", "previous", "releases", "rung", "staged", "tries")

    def __init__(self, current: str | None = None, releases: Mapping[str, Entry] | None = None) -> None:
        self.current = current
        self.previous: str | None = None
        self.staged: str | None = None
        self.tries = 0  # starts of the present candidate
        self.deaths = 0  # in a row, without health
        self.rung = Rung.NORMAL
        self.given_up: list[str] = []  # good releases that could not be brought up in the present crisis
        self.clean = False  # the last launcher left because it was asked to
        self.releases: dict[str, Entry] = dict(releases or {})

    def state(self, release: str | None) -> ReleaseState | None:
        entry = self.releases.get(release) if release is not None else None
        return None if entry is None else entry.state

    def mark(self, release: str, state: ReleaseState, reason: str = "") -> None:
        self.releases[release] = Entry(state, reason)

    def fallback(self) -> str | None:
        """The release to go back to.

        Good, not the present one, not given up: the previous one first, then the
        newest, at last what is installed beside the launcher.
        """
        for name in (
            self.previous,
            *(name for name in reversed(self.releases) if name != INSTALLED),
            INSTALLED,
        ):
            if name != self.current and name not in self.given_up and self.state(name) is ReleaseState.GOOD:
                return name
        return None

    def become(self, new: str | None) -> None:
        """`new` is the current one from now on; what was good before it is where one goes back to."""
        if self.current is not None and self.state(self.current) in CANDIDATE:
            self.mark(self.current, ReleaseState.STAGED, "left before it was good")
        elif self.state(self.current) is ReleaseState.GOOD:
            self.previous = self.current
        self.current, self.staged = new, None
        self.tries = self.deaths = 0
        self.rung, self.given_up = Rung.NORMAL, []
        if new is not None and self.state(new) in (
            ReleaseState.STAGED,
            None,
        ):  # None: forgotten while it was a standby
            self.mark(new, ReleaseState.TRYING)

    def forget(self, gone: str) -> None:
        """Its folder is no more."""
        self.releases.pop(gone, None)
        self.current = None if self.current == gone else self.current
        self.previous = None if self.previous == gone else self.previous
        self.staged = None if self.staged == gone else self.staged

    def dump(self) -> str:
        body = {
            "version": VERSION,
            "current": self.current,
            "previous": self.previous,
            "staged": self.staged,
            "tries": self.tries,
            "deaths": self.deaths,
            "rung": self.rung.value,
            "given_up": self.given_up,
            "clean": self.clean,
            "releases": {name: _entry_body(entry) for name, entry in self.releases.items()},
        }
        lines = (f" {notation.dumps(name)}: {notation.dumps(value)}" for name, value in body.items())
        return "{\n" + ",\n".join(lines) + "\n}\n"


def _entry_body(entry: Entry) -> dict[str, str]:
    return {"state": entry.state.value} | ({"reason": entry.reason} if entry.reason else {})


def parse(text: str) -> Record:
    """The record in `text`; `BadRecordError` when it is anything else than one of ours."""
    try:
        body = notation.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRecordError(f"not JSON: {error}") from None
    if not isinstance(body, dict) or body.get("version") != VERSION:
        raise BadRecordError(f"not a boot record of version {VERSION}")
    try:
        return _from_body(body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRecordError(f"{type(error).__name__}: {error}") from None


def _from_body(body: dict[str, Any]) -> Record:
    releases = {
        _name(name): Entry(ReleaseState(entry["state"]), str(entry.get("reason", "")))
        for name, entry in body["releases"].items()
    }
    record = Record(_known(body["current"], releases), releases)
    record.previous = _known(body["previous"], releases)
    record.staged = _known(body["staged"], releases)
    record.tries, record.deaths = _count(body["tries"]), _count(body["deaths"])
    record.rung = Rung(body["rung"])
    record.given_up = [_name(name) for name in body["given_up"]]
    record.clean = body["clean"] is True
    return record


def _name(value: object) -> str:
    if not isinstance(value, str) or not is_release_name(value):
        raise ValueError(f"no name of a release: {value!r}")
    return value


def _known(value: object, releases: Mapping[str, Entry]) -> str | None:
    if value is None:
        return None
    name = _name(value)
    if name not in releases:
        raise ValueError(f"{name} is named but not described")
    return name


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"no count: {value!r}")
    return value


def is_release_name(name: str) -> bool:
    """One path segment of harmless letters; so a name can never lead out of the releases folder."""
    return (
        0 < len(name) <= 128
        and name[0].isalnum()
        and all(c.isascii() and (c.isalnum() or c in "._-+") for c in name)
    )


def rebuild(found: Iterable[str], remembered: Mapping[str, str]) -> Record:
    """A record made from the releases on disk (oldest first) and the last verdict that the journal holds
    for each.

    A release remembered as good stays good, one that failed stays failed. The newest good one becomes the
    current one. If nothing is remembered as good, the newest unknown release is tried, and those before it
    count as good, for lack of better knowledge; with no release at all, what is installed beside the
    launcher is run.
    """
    names = list(found)
    record = Record(INSTALLED, {INSTALLED: Entry(ReleaseState.GOOD)})
    unknown = []
    for name in names:
        match remembered.get(name):
            case "good":
                record.mark(name, ReleaseState.GOOD)
                record.previous, record.current = record.current, name
            case "failed":
                record.mark(name, ReleaseState.FAILED, "remembered by the journal")
            case _:
                record.mark(name, ReleaseState.STAGED)
                unknown.append(name)
    if record.current == INSTALLED and unknown:
        for name in unknown[:-1]:
            record.mark(name, ReleaseState.GOOD, "presumed when the boot record was made anew")
        newest = unknown[-1]
        record.mark(newest, ReleaseState.TRYING)
        record.previous, record.current = (unknown[-2] if unknown[1:] else INSTALLED), newest
    return record
