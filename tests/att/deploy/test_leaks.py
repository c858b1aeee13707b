"""Many deploys in a row: nothing is left of any but the last."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from att.deploy import pruning
from att.workflow.states import RunState
from tests.att.deploy.house import Bench, on_bench
from tests.support import eventually


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def maps() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.slow
@on_bench
async def test_twenty_deploys_in_a_row_leak_nothing(bench: Bench) -> None:
    await bench.project()
    for number in range(3):  # what is opened once is open
        assert (await bench.out(f"warm {number}")).state is RunState.SUCCEEDED
    before = (descriptors(), maps(), len(psutil.Process().children(recursive=True)))
    for number in range(20):
        run = await bench.out(str(number), **({} if number % 5 else {"health_timeout": 30}))
        assert run.state is RunState.SUCCEEDED, run.problem
        if number % 4 == 0:
            bench.version(f"bad {number}", dies=True)
            assert (await bench.deploy(build=True)).state is RunState.FAILED
    assert await bench.says() == "19"

    def now() -> tuple[int, int, int]:
        return (descriptors(), maps(), len(psutil.Process().children(recursive=True)))

    await eventually(lambda: now()[0] <= before[0] + 3 and now()[2] == before[2])
    assert now()[1] <= before[1] + 20  # the allocator's own
    assert len(bench.house.keeper._runs) == 1
    folders = list((bench.house.home / "artefacts" / "demo").iterdir())
    assert len(folders) <= pruning.GOOD + 1 + pruning.UNTRIED + 1
    assert len(list((bench.house.home / "run" / "demo").iterdir())) <= 1
