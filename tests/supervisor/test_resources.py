"""Figures of a tree: sums of its members, and no trouble when one has just gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from supervisor.resources import FRESH, Meter, resident
from tests.support import eventually_sync

BUSY = "print(1, flush=True)\nwhile True: pass"


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", BUSY], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_figures_are_sums_over_the_members(busy: subprocess.Popen[bytes]) -> None:
    alone = Meter().sample([os.getpid()], 0.0, time.time())
    both = Meter().sample([os.getpid(), busy.pid], 0.0, time.time())
    assert (alone.processes, both.processes) == (1, 2)
    assert both.rss_bytes > alone.rss_bytes > 1_000_000
    assert both.threads == alone.threads + 1
    assert both.open_files > alone.open_files > 3
    assert resident([os.getpid(), busy.pid]) > resident([busy.pid]) > 0


def test_the_share_of_the_processor_is_that_since_the_last_sample(busy: subprocess.Popen[bytes]) -> None:
    meter = Meter()
    begun = time.monotonic()
    first = meter.sample([busy.pid], begun, time.time())
    assert meter.sample([busy.pid], begun + FRESH / 2, time.time()) is first

    def busy_enough() -> bool:
        return time.monotonic() - begun > FRESH * 1.5

    eventually_sync(busy_enough)
    share = meter.sample([busy.pid], time.monotonic(), time.time()).cpu_percent
    assert 5 < share < 150


def test_one_who_has_gone_counts_for_nothing(busy: subprocess.Popen[bytes]) -> None:
    meter = Meter()
    meter.sample([busy.pid], 0.0, time.time())
    busy.kill()
    busy.wait()
    after = meter.sample([busy.pid], 1.0, time.time())
    assert (after.processes, after.rss_bytes, after.cpu_percent) == (0, 0, 0.0)
    assert resident([busy.pid]) == 0
