"""A disk that is full, or refuses otherwise, is told as such by every operation that needs a folder there."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from att.catalogue import Catalogue
from att.problems import Problem
from att.runtime.operations import room
from att.runtime.service import Runtime
from tests.att.runtime import places
from tests.att.runtime.house import ME, House, in_house

CASES = [
    *(("runtime.start", where) for where in ("run", "logs")),
    *(("runtime.restart", where) for where in ("run", "logs")),
    ("runtime.eval", "run"),
    ("runtime.logs", "logs"),
    ("runtime.logs.delete", "logs"),
]
OTHERWISE = {"run": "run_folder_unusable", "logs": "log_unusable"}


async def asked(house: House, name: str, project_id: str) -> Problem:
    bound = Catalogue([room]).bind({Runtime: house.runtime})[name]
    with pytest.raises(Problem) as told:
        await bound.run(bound.operation.input.model_validate({"project_id": project_id}), ME)
    assert type(told.value) in bound.operation.errors, "it is not declared"
    return told.value


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize(("name", "where"), CASES)
def test_what_the_disk_refuses_is_told(
    name: str, where: str, number: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @in_house
    async def test(house: House) -> None:
        if name == "runtime.eval":
            folder = places.nat_project(house.home / "projects" / "demo")
            (folder / "config.yml").write_text(places.CONFIG + "eval: {}\n")
            (next(folder.glob(".venv/lib/*/site-packages")) / "nvidia_nat_eval-1.9.0.dist-info").mkdir()
            await house.nat_project(folder)
        else:
            await house.project("demo")
        real = os.mkdir

        def full(path: Any, *more: Any, **named: Any) -> None:
            if str(path).startswith(str(house.home / where)):
                raise OSError(number, os.strerror(number), str(path))
            real(path, *more, **named)

        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", full)
            problem = await asked(house, name, "demo")
        assert problem.code == (OTHERWISE[where] if number == errno.EACCES else "disk_full")

    test(tmp_path)
