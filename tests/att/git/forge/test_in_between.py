"""The local forge, when the branches or the remote are not what they were a moment ago."""

from __future__ import annotations

from pathlib import Path

import pytest

from att.git.errors import RemoteRefused
from att.problems import Conflict
from tests.att.git.forge.hub import git
from tests.att.git.forge.test_forge import asks, refused
from tests.att.git.forge.worlds import DEV, local
from tests.att.rooms import on_a_loop


@on_a_loop
async def test_a_branch_that_moves_all_the_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with local(tmp_path) as world:
        await world.branch("feature")
        await world.pull()
        await world.checked(1)
        before = world.tip()

        async def moved(*_: object) -> bool:
            return False

        monkeypatch.setattr("att.git.forge.work.move", moved)
        problem = await refused(Conflict, world.dev.merge(asks(1), DEV))
        assert "moves all the time" in problem.detail
        assert (await world.dev.pull(1)).state == "open"
        assert world.tip() == before


@on_a_loop
async def test_where_the_remote_is_refused_nothing_is_closed(tmp_path: Path) -> None:
    async with local(tmp_path) as world:
        await world.branch("feature")
        await world.pull()
        elsewhere = tmp_path / "elsewhere.git"
        git(tmp_path, "init", "-q", "--bare", str(elsewhere))
        git(world.folder, "remote", "set-url", "origin", str(elsewhere))
        [service] = world.forges
        await refused(RemoteRefused, (await service.of("app")).close(1, DEV))
        git(world.folder, "remote", "set-url", "origin", str(world.bare))
        assert (await world.dev.pull(1)).state == "open"
