"""What a dead daemon asks for, as data: exit codes, kinds of death, the verdict for each, and every number
the decisions depend on.

Kills from outside are no verdict about a release; its own failure is. Exit 0 of a candidate that never was
healthy is a failure too: nobody asked it to stop, it never stood.
"""

from __future__ import annotations

import signal
from enum import Enum, StrEnum

from launcher.protocol.words import NamedTuple

CONFIG_CODE = 78


class Kind(StrEnum):
    """How a daemon's life ended."""

    CLEAN = "clean"
    RESTART = "restart"
    CONFIG = "config"
    CRASH = "crash"
    KILLED = "killed"  # by a signal of somebody else
    HUNG = "hung"  # ended by us, since it gave no sign of health
    MISSING = "missing"  # it could not be started at all: nothing there to start


EXITS = {0: Kind.CLEAN, 75: Kind.RESTART, CONFIG_CODE: Kind.CONFIG}  # anything else is a crash
OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


def kind_of(status: int) -> Kind:
    """The kind of an exit status in the form of `os.waitstatus_to_exitcode`: negative for a signal."""
    if status < 0:
        return Kind.KILLED if -status in OUTSIDE else Kind.CRASH
    return EXITS.get(status, Kind.CRASH)


class Limits(NamedTuple):
    """Every number that the decisions depend on. Seconds."""

    delays: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    reset_after: float = 60.0  # of continuous health: the back-off begins anew
    probation: float = 60.0  # of continuous health: a candidate is good
    deaths: int = 5  # in a row without health: the next rung
    tries: int = 5  # starts of one candidate
    asked: int = 5  # restarts that the daemon may ask for in a row at no delay
    start_timeout: float = 60.0
    drain: float = 15.0
    grace: float = 30.0
    retry: float = 300.0  # after the last rung


class Verdict(Enum):
    """What a death of the active one asks for."""

    LEAVE = "leave"
    RESTART = "start again as asked, into the staged release if there is one"
    AGAIN = "start again with back-off"
    WAIT = "wait for another configuration, or leave when there is no app to keep"
    TRY = "try the candidate again, while there are tries left"
    FAIL = "the candidate has failed: back to a good one"
    FORGET = "its folder is gone: another one"


# (is a candidate, was healthy in this life) → kind → verdict
VERDICTS: dict[tuple[bool, bool], dict[Kind, Verdict]] = {
    (False, False): {
        Kind.CLEAN: Verdict.LEAVE,
        Kind.RESTART: Verdict.AGAIN,
        Kind.CONFIG: Verdict.WAIT,
        Kind.CRASH: Verdict.AGAIN,
        Kind.KILLED: Verdict.AGAIN,
        Kind.HUNG: Verdict.AGAIN,
        Kind.MISSING: Verdict.FORGET,
    },
    (False, True): {
        Kind.CLEAN: Verdict.LEAVE,
        Kind.RESTART: Verdict.RESTART,
        Kind.CONFIG: Verdict.WAIT,
        Kind.CRASH: Verdict.AGAIN,
        Kind.KILLED: Verdict.AGAIN,
        Kind.HUNG: Verdict.AGAIN,
        Kind.MISSING: Verdict.FORGET,
    },
    (True, False): {
        Kind.CLEAN: Verdict.FAIL,  # nobody asked it to stop: it never stood
        Kind.RESTART: Verdict.TRY,
        Kind.CONFIG: Verdict.FAIL,
        Kind.CRASH: Verdict.FAIL,
        Kind.KILLED: Verdict.TRY,
        Kind.HUNG: Verdict.FAIL,
        Kind.MISSING: Verdict.FORGET,
    },
    (True, True): {
        Kind.CLEAN: Verdict.LEAVE,
        Kind.RESTART: Verdict.RESTART,
        Kind.CONFIG: Verdict.FAIL,
        Kind.CRASH: Verdict.FAIL,
        Kind.KILLED: Verdict.TRY,
        Kind.HUNG: Verdict.FAIL,
        Kind.MISSING: Verdict.FORGET,
    },
}
