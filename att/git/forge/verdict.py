"""Whether a pull request of the local forge may be merged: from what is known of it to a yes or a typed no. Does no I/O.

The order is fixed, and each answer names what to do next: not open, head moved, nothing to merge, conflict, checks, reviews.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from att.git.errors import MergeConflict
from att.git.forge.errors import (
    ChecksFailed,
    ChecksPending,
    HeadMoved,
    NothingToMerge,
    PullNotOpen,
    ReviewRequired,
)
from att.git.forge.models import Check, Conclusion, Mergeable, PullState, Review, ReviewState, Status
from att.problems import Problem

Sum = Literal["none", "pending", "success", "failure"]
GOOD = frozenset({Conclusion.SUCCESS, Conclusion.NEUTRAL, Conclusion.SKIPPED})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the base branch asks for."""

    checks: bool = True
    reviews: int = 0


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the answer depends on."""

    number: int
    state: PullState
    author: str
    head_sha: str
    ahead: bool  # the head has commits that the base does not have
    conflicts: Sequence[str] | None  # None: they go together
    checks: Sequence[Check]
    reviews: Sequence[Review]


def newest(checks: Sequence[Check]) -> list[Check]:
    """Of each name the check that was made last: an earlier one was run again."""
    last: dict[str, Check] = {}
    for check in sorted(checks, key=lambda check: (check.created_at or "", check.attempt, check.id)):
        last[check.name] = check
    return list(last.values())


def sum_of(checks: Sequence[Check]) -> Sum:
    """All of them in one word; an earlier run of the same check does not count."""
    counted = newest(checks)
    if not counted:
        return "none"
    ended = [check.conclusion for check in counted if check.status is Status.COMPLETED]
    if any(conclusion not in GOOD for conclusion in ended):
        return "failure"
    return "success" if len(ended) == len(counted) else "pending"


def approvals(reviews: Sequence[Review], author: str) -> tuple[int, list[str]]:
    """How many others approve, and who asks for changes; of each reviewer the last word counts."""
    word: dict[str, ReviewState] = {}
    for review in reviews:
        if review.state is not ReviewState.COMMENTED and review.author != author:
            word[review.author] = review.state
    against = [who for who, state in word.items() if state is ReviewState.CHANGES_REQUESTED]
    return sum(state is ReviewState.APPROVED for state in word.values()), against


def objection(now: Situation, rules: Rules, sha: str | None = None) -> Problem | None:
    """Why it cannot be merged; None when it can. `sha`: what the caller takes the head to be."""
    called = f"Pull request {now.number}"
    if now.state is not PullState.OPEN:
        return PullNotOpen(f"{called} is {now.state.value}.")
    if sha is not None and sha != now.head_sha:
        return HeadMoved(f"{called} is at {now.head_sha} now, not at {sha}.", head_sha=now.head_sha)
    if not now.ahead:
        return NothingToMerge(f"{called} has no commit that its base does not have.")
    if now.conflicts is not None:
        named = ", ".join(now.conflicts[:5]) or "they have no common history"
        return MergeConflict(f"{called} conflicts with its base: {named}.", files=list(now.conflicts))
    return _held_back(now, rules, called)


def _held_back(now: Situation, rules: Rules, called: str) -> Problem | None:
    summed = sum_of(now.checks)
    if rules.checks and summed in ("pending", "failure"):
        names = [check.name for check in newest(now.checks)]
        if summed == "pending":
            return ChecksPending(f"{called} waits for its checks.", checks=names)
        return ChecksFailed(f"The checks of pull request {now.number} did not pass.", checks=names)
    if rules.reviews:
        count, against = approvals(now.reviews, now.author)
        if against:
            return ReviewRequired(f"{against[0]} asks for changes in pull request {now.number}.")
        if count < rules.reviews:
            return ReviewRequired(f"{called} has {count} of {rules.reviews} approvals.")
    return None


def mergeable(now: Situation, rules: Rules) -> Mergeable:
    """The same in one word."""
    problem = objection(now, rules)
    if problem is None:
        return Mergeable.CLEAN
    if isinstance(problem, MergeConflict):
        return Mergeable.CONFLICT
    return (
        Mergeable.BLOCKED
        if isinstance(problem, ChecksPending | ChecksFailed | ReviewRequired)
        else Mergeable.UNKNOWN
    )
