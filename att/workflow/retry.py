"""Whether and when a step is tried once more: a policy that is told the time and the dice. This file does no I/O.

The wait grows by `factor` from `first` to `most`, and a part of it (`jitter`) is left to chance, so that several who failed at one
moment do not come back at one moment. A known mistake (a problem below 500) is not tried again: it would be met again.
"""

from __future__ import annotations

from dataclasses import dataclass

from att.problems import Problem


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between tries."""

    first: float = 0.5
    factor: float = 2.0
    most: float = 30.0
    jitter: float = 0.5

    def after(self, failures: int, chance: float) -> float:
        """How long to wait after so many failures; `chance` is between 0 and 1."""
        whole = min(self.most, self.first * self.factor ** min(failures - 1, 64))
        return whole * (1 - self.jitter * chance)


def worth_it(error: BaseException) -> bool:
    """Whether another try could end differently."""
    if isinstance(error, Problem):
        return error.status >= 500
    return isinstance(error, Exception)


def wait_before_next(
    error: BaseException, failures: int, retries: int, backoff: Backoff, chance: float
) -> float | None:
    """Seconds until the next try of a step that has failed `failures` times; None: it has failed for good."""
    if failures > retries or not worth_it(error):
        return None
    return backoff.after(failures, chance)
