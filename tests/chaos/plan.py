"""What happens in a round, drawn from a seed. Does no I/O: the same seed and number give the same round, in any order."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import NamedTuple

from tests.chaos.release import DEFECTS, LATE

CYCLE = 8  # rounds after which every kind of trouble has come at least once or twice


class Who(StrEnum):
    DAEMON = "daemon"
    STANDBY = "standby"
    APP = "app"


class What(StrEnum):
    KILL = "kill"
    PAUSE = "pause"  # SIGSTOP, and SIGCONT after `lasts`
    FREEZE = "freeze"  # SIGSTOP, never resumed
    RESTART = "restart"  # asked for


class Act(NamedTuple):
    at: float  # seconds after the round began
    who: Who
    what: What
    lasts: float = 0.0


class Kind(StrEnum):
    TROUBLE = "trouble"  # no update
    GOOD = "good update"
    BAD = "bad update"
    BACK = "rollback"


class Round(NamedTuple):
    number: int
    kind: Kind
    defect: str
    acts: tuple[Act, ...]

    @property
    def gentle(self) -> bool:
        """No daemon that has taken connections is ended without a word, by us or by its launcher."""
        hurt = any(act.who is Who.DAEMON and act.what is not What.RESTART for act in self.acts)
        return not hurt and self.defect not in LATE

    @property
    def title(self) -> str:
        return f"{self.kind}: {self.defect}" if self.defect else str(self.kind)


KINDS = (
    Kind.GOOD,
    Kind.BAD,
    Kind.TROUBLE,
    Kind.BAD,
    Kind.GOOD,
    Kind.BACK,
    Kind.TROUBLE,
    Kind.BAD,
)
assert len(KINDS) == CYCLE


def draw(seed: int, number: int) -> Round:
    """Round `number` (from 0). Kinds and defects take turns, so a small campaign meets many; when and what is by chance."""
    dice = random.Random(f"{seed}/{number}")
    kind = KINDS[(number + seed) % CYCLE]
    defect = DEFECTS[(seed * 7 + number) % len(DEFECTS)] if kind is Kind.BAD else ""
    acts = [*_daemon(dice, kind), *_standby(dice, kind), *_app(dice)]
    return Round(number, kind, defect, tuple(sorted(acts)))


def _moment(dice: random.Random) -> float:
    """Mostly while a start or a switch is under way."""
    return round(dice.choice((dice.uniform(0, 0.6), dice.uniform(0, 2.5), dice.uniform(0, 4))), 3)


def _daemon(dice: random.Random, kind: Kind) -> list[Act]:
    many = dice.choice((1, 2, 3) if kind is Kind.TROUBLE else (0, 1, 1, 2))
    acts: list[Act] = []
    for what in dice.choices((What.KILL, What.PAUSE, What.FREEZE, What.RESTART), (6, 3, 1, 2), k=many):
        lasts = round(dice.uniform(0.05, 2.5), 3) if what is What.PAUSE else 0.0
        if what is What.FREEZE and any(act.what is What.FREEZE for act in acts):
            what = What.KILL  # one takes seconds to be found out; once in a round will do
        acts.append(Act(_moment(dice), Who.DAEMON, what, lasts))
    return acts


def _standby(dice: random.Random, kind: Kind) -> list[Act]:
    if kind is Kind.TROUBLE or dice.random() < 0.6:
        return []
    what = dice.choices((What.KILL, What.PAUSE, What.FREEZE), (5, 3, 1))[0]
    lasts = round(dice.uniform(0.05, 2.0), 3) if what is What.PAUSE else 0.0
    return [Act(round(dice.uniform(0.02, 1.2), 3), Who.STANDBY, what, lasts)]


def _app(dice: random.Random) -> list[Act]:
    if dice.random() < 0.5:
        return []
    what = dice.choices((What.KILL, What.PAUSE, What.FREEZE, What.RESTART), (5, 3, 1, 3))[0]
    lasts = round(dice.uniform(0.05, 2.0), 3) if what is What.PAUSE else 0.0
    first = Act(_moment(dice), Who.APP, what, lasts)
    if what is What.FREEZE:  # nobody but its user can tell that it is to go on
        return [first, Act(first.at + 1.0, Who.APP, What.RESTART)]
    return [first]
