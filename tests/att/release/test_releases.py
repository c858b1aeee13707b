"""The service with the launcher's own rules on the other side: staged, switched, gone back from, cleared, told of."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from att.release import errors, operations
from att.release.models import AskRelease, ListReleases
from att.release.releases import Releases
from att.release.staging import StagingState
from launcher import events as ev
from launcher.journal import entries
from launcher.verdict import Kind
from tests.att.release.house import Rules, add_release, make_source, releases
from tests.att.rooms import CALL, on_a_loop
from tests.support import eventually

ASK = "release_id"


async def frames(made: Releases, name: str, call: Any = CALL) -> list[dict[str, Any]]:
    stream = await operations.open_ndjson(AskRelease(release_id=name), call, made)
    return [json.loads(piece) async for piece in stream]


@on_a_loop
async def test_without_a_launcher_nothing_is_changed_but_all_can_be_read(tmp_path: Path) -> None:
    add_release(tmp_path, "r1")
    async with releases(tmp_path) as (made, _):
        for refused in (made.stage("/x", None, CALL), made.switch("r1", CALL), made.roll_back(CALL)):
            with pytest.raises(errors.NoLauncher):
                await refused
        page = await operations.list_all(ListReleases(), made)
        assert [(row.id, row.state) for row in page.releases] == [("r1", "built"), ("installed", "good")]
        assert (await made.status("installed")).roles == ["current", "running"]


@on_a_loop
async def test_what_is_installed_is_one_row_before_and_after_it_stands_in_the_record(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    async with releases(tmp_path, rules) as (made, _):
        rules.become_good()
        rows, _ = await made.rows()
        assert [(row.id, row.state) for row in rows] == [("installed", "good")]


@on_a_loop
async def test_a_release_is_made_staged_switched_to_and_becomes_good(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    async with releases(tmp_path, rules) as (made, house):
        begun = await made.stage(str(make_source(tmp_path / "src")), None, CALL)
        assert begun.state == "building"
        with pytest.raises(errors.StagingUnderWay):
            await made.stage(str(tmp_path / "src"), None, CALL)
        with pytest.raises(errors.StagingUnderWay):
            await made.switch("installed", CALL)
        told = await frames(made, begun.id)
        assert (told[-1]["type"], told[-1]["state"], told[-1]["error"]) == ("done", "ready", None)
        shares = [one["progress"] for one in told[:-1]]
        assert shares == sorted(shares)
        staged = await made.status("staged")
        assert (staged.id, staged.state, staged.roles, staged.version) == (
            begun.id,
            "staged",
            ["staged"],
            "9.9",
        )
        assert (await made.status("staged", verify=True)).intact is True
        event = (await eventually(lambda: house.told("release.staged")))[0]
        assert (event.payload["release"], event.actor, event.request_id) == (begun.id, "tester", "req-1")

        switching = await made.switch("staged", CALL)
        assert switching.state == "trying"
        with pytest.raises(errors.SwitchUnderWay):
            await made.switch(begun.id, CALL)
        rules.take_over()
        told = await frames(made, begun.id)
        assert (told[-1]["type"], told[-1]["error"]) == ("done", None)
        current = await made.status("current")
        assert (current.id, current.state) == (begun.id, "good")


@on_a_loop
async def test_a_stream_goes_on_in_the_next_life_where_it_stopped(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    add_release(tmp_path, "r1")
    async with releases(tmp_path, rules) as (made, _):
        await made.switch("r1", CALL)
        stream = await operations.open_ndjson(AskRelease(release_id="r1"), CALL, made)
        first = json.loads(await anext(stream))
        assert first["line"] == "standby r1"
        rules.step(ev.StandbyHealthy())
        second = json.loads(await anext(stream))
    rest = [json.loads(piece) async for piece in stream]
    assert not any(one["type"] == "done" for one in rest), "the old one cannot tell how it ends"
    last = (rest or [second])[-1]["cursor"]
    rules.step(ev.Died(Kind.RESTART))
    rules.step(ev.Healthy())
    async with releases(tmp_path, rules, running="r1") as (made, _):
        call = type(CALL)(request_id="", last_event_id=last)
        after = await frames(made, "r1", call)
        lines = [one["line"] for one in (first, second, *rest, *after[:-1])]
        written = list(entries(rules.journal.path))
        begun = next(at for at, entry in enumerate(written) if entry["event"] == "standby")
        assert len(lines) == len(written[begun:]), "no entry left out, none twice"
        assert (after[-1]["type"], after[-1]["error"]) == ("done", None)


@on_a_loop
async def test_a_standby_that_dies_is_told_and_remembered(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    add_release(tmp_path, "r1")
    async with releases(tmp_path, rules) as (made, _):
        await made.switch("r1", CALL)
        rules.step(ev.StandbyLost(Kind.CRASH, "exit 7"))
        told = await frames(made, "r1")
        assert told[-1]["error"] == "exit 7"
        assert (await made.status("r1")).state == "failed"
        with pytest.raises(errors.ReleaseFailedBefore, match="exit 7"):
            await made.switch("r1", CALL)


@on_a_loop
async def test_force_tries_a_failed_one_again(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    add_release(tmp_path, "r1")
    rules.boot.record.mark("r1", ev_failed(), "exit 7")
    rules.home.save(rules.boot.record)
    async with releases(tmp_path, rules) as (made, _):
        await made.switch("r1", CALL, force=True)
        rules.take_over()
        assert (await made.status("r1")).roles == ["current"]


def ev_failed() -> Any:
    from launcher.record import ReleaseState

    return ReleaseState.FAILED


@on_a_loop
async def test_a_rollback_goes_to_the_good_one_before(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    add_release(tmp_path, "r1")
    async with releases(tmp_path, rules) as (made, _):
        with pytest.raises(errors.NoWayBack):
            await made.roll_back(CALL)
        await made.switch("r1", CALL)
        rules.take_over()
        back = await made.roll_back(CALL)
        assert back.id == "installed"
        rules.take_over()
        assert "current" in (await made.status("installed")).roles


@on_a_loop
async def test_what_cannot_be_switched_to_is_refused_with_its_reason(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    folder = add_release(tmp_path, "r1")
    async with releases(tmp_path, rules) as (made, _):
        with pytest.raises(errors.ReleaseNotFound):
            await made.switch("none", CALL)
        with pytest.raises(errors.ReleaseNotFound):
            await made.switch("staged", CALL)
        with pytest.raises(errors.AlreadyCurrent):
            await made.switch("current", CALL)
        (folder / "env" / "bin" / "python").unlink()
        with pytest.raises(errors.ReleaseUnusable):
            await made.switch("r1", CALL)
        with pytest.raises(errors.NothingToCancel):
            await made.cancel("r1")


@on_a_loop
async def test_the_launchers_refusal_is_told(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    add_release(tmp_path, "r1")
    async with releases(tmp_path, rules) as (made, _):
        rules.step(ev.Unhealthy("hangs"))
        with pytest.raises(errors.SwitchRefused, match="ending"):
            await made.switch("r1", CALL)
        rules.deaf = True
        assert made.words is not None
        made.words._answer = 0.01
        with pytest.raises(errors.LauncherSilent):
            await made.switch("r1", CALL)


@on_a_loop
async def test_a_making_ends_with_the_daemon_and_is_told_as_cancelled(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    mark = tmp_path / "mark"
    act = f"open({str(mark)!r}, 'w').close(); import time; time.sleep(600)"
    async with releases(tmp_path, rules) as (made, house):
        begun = await made.stage(str(make_source(tmp_path / "src", act=act)), None, CALL)
        await eventually(mark.exists, 30)
        ended = await made.cancel(begun.id)
        assert (ended.state, ended.error) == ("failed", None)
        event = (await eventually(lambda: house.told("release.failed")))[0]
        assert (event.payload["error"], event.outcome) == ("cancelled", "failed")
        await made.stage(str(tmp_path / "src"), None, CALL)
    assert made.staging is not None
    assert made.staging.state is StagingState.CANCELLED
    assert list((tmp_path / "releases").iterdir()) == []


@on_a_loop
async def test_old_ones_go_when_a_new_one_is_good(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    async with releases(tmp_path, rules, keep=1) as (made, house):
        for number in range(1, 5):
            add_release(tmp_path, f"r{number}", f"2026-01-0{number}T00:00:00Z")
            await made.switch(f"r{number}", CALL)
            if number == 2:
                rules.step(ev.StandbyLost(Kind.CRASH, "exit 7"))
            else:
                rules.take_over()
        await eventually(lambda: not (tmp_path / "releases" / "r1").exists())
        assert sorted(made.shelf.found()) == ["r2", "r3", "r4"]
        assert [path.name for path in (tmp_path / "releases" / "r2").iterdir()] == ["release.json"]
        gone = await eventually(lambda: all_of(house.told("release.pruned"), 2))
        assert {event.payload["release"] for event in gone} == {"r1", "r2"}


async def all_of(asked: Any, count: int) -> list[Any]:
    found: list[Any] = await asked
    return found if len(found) == count else []


@on_a_loop
async def test_a_release_that_a_process_still_uses_stays(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    async with releases(tmp_path, rules, keep=1) as (made, _):
        add_release(tmp_path, "r0", "2025-01-01T00:00:00Z")
        for number in range(1, 4):
            add_release(tmp_path, f"r{number}", f"2026-01-0{number}T00:00:00Z")
        python = str(tmp_path / "releases" / "r1" / "env" / "bin" / "python")
        with subprocess.Popen(  # noqa: ASYNC220  a moment
            [python, "-c", "input()"], stdin=subprocess.PIPE
        ) as user:
            for name in ("r0", "r1", "r2", "r3"):
                await made.switch(name, CALL)
                rules.take_over()
            await eventually(lambda: not (tmp_path / "releases" / "r0").exists())
            await made.prune()
            assert sorted(made.shelf.found()) == ["r1", "r2", "r3"]
            user.kill()
        await made.prune()
        assert sorted(made.shelf.found()) == ["r2", "r3"]


@on_a_loop
async def test_a_start_clears_what_was_cut_off_and_points_the_command_at_itself(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    half = tmp_path / "releases" / "half"
    half.mkdir(parents=True)
    (half / "att-making").write_text("")
    add_release(tmp_path, "r1")
    async with releases(tmp_path, rules, running="r1"):
        await eventually(lambda: not half.exists())
        assert str((tmp_path / "current").readlink()) == "releases/r1"
    async with releases(tmp_path, rules):
        await eventually(lambda: not (tmp_path / "current").is_symlink())
        assert sys.executable in (tmp_path / "bin" / "att").read_text()


@on_a_loop
async def test_a_list_is_paged(tmp_path: Path) -> None:
    for number in range(5):
        add_release(tmp_path, f"r{number}", f"2026-01-0{number + 1}T00:00:00Z")
    async with releases(tmp_path) as (made, _):
        seen = [row.id async for page in pages(made) for row in page.releases]
        assert seen == ["r4", "r3", "r2", "r1", "r0", "installed"]


async def pages(made: Releases) -> AsyncIterator[Any]:
    cursor = None
    while True:
        page = await operations.list_all(ListReleases(limit=2, cursor=cursor), made)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


@on_a_loop
async def test_an_unreadable_record_is_told(tmp_path: Path) -> None:
    async with releases(tmp_path) as (made, _):
        (tmp_path / "boot.json").write_text("{")
        with pytest.raises(errors.RecordUnreadable):
            await made.rows()
