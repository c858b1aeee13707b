"""Which artefacts are kept and which can go. Decides; removes nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

GOOD = 5  # versions that were healthy, beside the present and the one before
UNTRIED = 3  # builds that were not deployed


def to_remove(artefacts: Sequence[str], good: Sequence[str], keep: Collection[str | None]) -> list[str]:
    """`artefacts`: all, the newest first; `good`: those that were healthy, by their last time, the newest first; `keep`: whatever
    else must stay (the present one, the one before, the one that runs)."""
    kept = {*keep, *good[: GOOD + 1]}
    untried = [artefact for artefact in artefacts if artefact not in good and artefact not in kept]
    kept |= set(untried[:UNTRIED])
    return [artefact for artefact in artefacts if artefact not in kept]
