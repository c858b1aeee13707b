"""A few rounds of the chaos in the quick suite, more in the slow one. `python -m tests.chaos` plays as many as one likes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.house import BRISK, PACE, RATE, House
from tests.chaos.rounds import Campaign, evidence

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="processes are looked at in /proc")


def play(folder: Path, pace: dict[str, float], seed: int, rounds: int, rate: int = RATE) -> None:
    print(f"seed {seed}; again by `python -m tests.chaos --seed {seed} --rounds {rounds}`")
    campaign = Campaign(House(folder / "h", pace), seed, rate=rate)
    with campaign:
        try:
            for number in range(rounds):
                campaign.round(number)
            assert campaign.read_all() > 0
        except Exception:
            print(evidence(campaign))
            raise
    assert campaign.house.everybody() == []


@pytest.mark.timeout(240)
def test_nothing_is_lost_doubled_or_refused_in_a_few_rounds(tmp_path: Path) -> None:
    play(tmp_path, BRISK, seed=34, rounds=4, rate=1500)  # what a line costs is not the question here


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_nothing_is_lost_doubled_or_refused_in_many_rounds(tmp_path: Path) -> None:
    play(tmp_path, PACE, seed=int.from_bytes(os.urandom(2), "big"), rounds=8, rate=2500)
