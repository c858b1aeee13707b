"""What to do when GitHub does not answer as hoped: wait how long, or give up and say until when. Does no I/O.

Time comes in as an argument, and all waiting is bounded: one request is tried `attempts` times and waits `patience` seconds
in all, since somebody waits for its answer. What would take longer ends as `RateLimited` with the moment from which on it may be
tried again. A primary limit tells that moment in X-RateLimit-Reset, a secondary one in Retry-After, or not at all (then it
is a minute, as GitHub asks for). A fault of the server (5xx) is tried again after 0.5, 1, 2 … seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SECONDARY = 60.0
"""Seconds to leave GitHub alone after a secondary limit that does not say how long."""
_TRANSIENT = frozenset({500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Policy:
    attempts: int = 4
    patience: float = 20.0
    first: float = 0.5


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Limited:
    """Give up: nothing more before `retry_at` (seconds of the epoch)."""

    retry_at: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Trying again would not help, or was tried often enough."""


Answer = Wait | Limited | GiveUp


def number(headers: Mapping[str, str], name: str) -> float | None:
    """A header that is a number and not negative."""
    try:
        found = float(headers[name])
    except (KeyError, ValueError):
        return None
    return found if 0 <= found < 1e11 else None


def limited_until(status: int, headers: Mapping[str, str], message: str, now: float) -> float | None:
    """From when on GitHub takes requests again; None when this is no matter of limits."""
    if status not in (403, 429):
        return None
    after = number(headers, "retry-after")
    if after is not None:
        return now + after
    if number(headers, "x-ratelimit-remaining") == 0:
        reset = number(headers, "x-ratelimit-reset")
        return now + SECONDARY if reset is None else max(reset + 1, now)
    if status == 429 or "rate limit" in message.lower() or "abuse" in message.lower():
        return now + SECONDARY
    return None


def decide(
    policy: Policy,
    status: int,
    headers: Mapping[str, str],
    message: str,
    *,
    attempt: int,
    waited: float,
    now: float,
) -> Answer:
    """After the `attempt`-th failure (from 1), having waited `waited` seconds already."""
    until = limited_until(status, headers, message, now)
    if until is not None:
        seconds = max(0.0, until - now)
        fits = attempt < policy.attempts and waited + seconds <= policy.patience
        return Wait(seconds) if fits else Limited(until)
    if status not in _TRANSIENT:
        return GiveUp()
    return again(policy, attempt=attempt, waited=waited)


def again(policy: Policy, *, attempt: int, waited: float) -> Answer:
    """After a passing fault, of the server or on the way to it."""
    seconds = min(policy.first * 2 ** (attempt - 1), policy.patience)
    if attempt >= policy.attempts or waited + seconds > policy.patience:
        return GiveUp()
    return Wait(seconds)


def blocked_until(remaining: int, reset: float, now: float) -> float | None:
    """When the quota is known to be used up: the moment from which on there is a new one."""
    return reset + 1 if remaining <= 0 and reset + 1 > now else None
