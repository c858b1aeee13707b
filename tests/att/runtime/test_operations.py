"""The room's operations, as the doors call them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from att.catalogue import Bound, Call, Catalogue
from att.project.models import Project
from att.runtime.errors import (
    AlreadyRunning,
    BadFilter,
    CursorOfAnotherProject,
    EnvironmentBuildFailed,
    EnvironmentBuilding,
    NoBuildRunning,
)
from att.runtime.models import LogPage
from att.runtime.operations import room
from att.runtime.service import Runtime
from tests.att.runtime.house import ME, SERVER, House, in_house
from tests.att.runtime.test_build import project as buildable
from tests.support import eventually


def operation(house: House, name: str) -> Bound:
    return Catalogue([room]).bind({Runtime: house.runtime})[name]


async def run(house: House, name: str, **given: Any) -> Any:
    bound = operation(house, name)
    return await bound.run(bound.operation.input.model_validate(given), ME)


async def follow(
    house: House, media_type: str, call: Call = ME, name: str = "runtime.logs", **given: Any
) -> AsyncIterator[bytes]:
    bound = operation(house, name)
    stream = next(s for s in bound.operation.streams if s.media_type == media_type)
    return await bound.open(stream, bound.operation.input.model_validate(given), call)


async def until(pieces: AsyncIterator[bytes], text: str) -> str:
    """What came up to and with `text`."""
    got = ""
    async with asyncio.timeout(10):
        async for piece in pieces:
            got += piece.decode()
            if text in got:
                return got
    raise AssertionError(f"{text!r} never came: {got!r}")


async def served(house: House, name: str = "demo") -> None:
    await house.project(name)
    await run(house, "runtime.start", project_id=name)

    async def both() -> bool:
        return {"ready", "to stderr"} <= set(await house.lines(name))

    await eventually(both)


def test_every_operation_of_the_contract_is_there() -> None:
    routes = {
        (o.name, o.method, o.path.removeprefix("/projects/{project_id}/runtime/")) for o in Catalogue([room])
    }
    assert routes == {
        ("runtime.start", "POST", "start"),
        ("runtime.stop", "POST", "stop"),
        ("runtime.restart", "POST", "restart"),
        ("runtime.status", "GET", "status"),
        ("runtime.logs", "GET", "logs"),
        ("runtime.logs.delete", "DELETE", "logs"),
        ("runtime.eval", "POST", "eval"),
        ("runtime.environment.build", "POST", "environment"),
        ("runtime.environment.get", "GET", "environment"),
        ("runtime.environment.cancel", "DELETE", "environment"),
    }


@in_house
async def test_a_log_is_read_page_by_page(house: House) -> None:
    await served(house)
    page: LogPage = await run(house, "runtime.logs", project_id="demo", cursor="oldest", limit=1)
    rest: LogPage = await run(house, "runtime.logs", project_id="demo", cursor=page.next_cursor)
    every: LogPage = await run(house, "runtime.logs", project_id="demo")
    assert [line.cursor for line in (*page.lines, *rest.lines)] == [line.cursor for line in every.lines]
    written = json.loads(every.model_dump_json())
    assert {"cursor", "at", "stream", "run", "text", "continued"} <= set(written["lines"][0])
    assert written["lost"] is None


@in_house
async def test_filters_choose_lines(house: House) -> None:
    await served(house)
    errors = await run(house, "runtime.logs", project_id="demo", stream="stderr")
    assert [line.text for line in errors.lines] == ["to stderr"]
    found = await run(house, "runtime.logs", project_id="demo", grep="^start.*on")
    assert len(found.lines) == 1
    with pytest.raises(BadFilter):
        await run(house, "runtime.logs", project_id="demo", grep="(")


@in_house
async def test_a_cursor_of_another_project_is_refused(house: House) -> None:
    await served(house)
    page = await run(house, "runtime.logs", project_id="demo")
    await house.project("other")
    with pytest.raises(CursorOfAnotherProject):
        await run(house, "runtime.logs", project_id="other", cursor=page.next_cursor)
    with pytest.raises(CursorOfAnotherProject):
        await follow(house, "text/event-stream", project_id="other", cursor=page.next_cursor)


@in_house
async def test_a_follow_begins_with_the_last_lines_and_tells_the_state(house: House) -> None:
    await served(house)
    pieces = await follow(house, "text/event-stream", project_id="demo", limit=2)
    got = await until(pieces, "event: state")
    assert got.count("event: line") == 2
    assert '"state": "running"' in got
    stopping = asyncio.create_task(house.runtime.stop("demo", ME))
    assert '"state": "stopped"' in await until(pieces, '"stopped"')
    await stopping


@in_house
async def test_a_follow_is_taken_up_again_at_the_last_event_id(house: House) -> None:
    await served(house)
    page = await run(house, "runtime.logs", project_id="demo")
    call = Call(request_id="r", last_event_id=page.lines[0].cursor)
    got = await until(
        await follow(house, "text/event-stream", call, project_id="demo"), page.lines[-1].cursor
    )
    ids = [line.removeprefix("id: ") for line in got.splitlines() if line.startswith("id: ")]
    assert ids == [line.cursor for line in page.lines[1:]]


@in_house
async def test_ndjson_and_text_carry_the_same_lines(house: House) -> None:
    await served(house)
    page = await run(house, "runtime.logs", project_id="demo")
    last = page.lines[-1].text
    ndjson = await until(
        await follow(house, "application/x-ndjson", project_id="demo", cursor="oldest"), json.dumps(last)
    )
    objects = [json.loads(line) for line in ndjson.splitlines()]
    assert [o["text"] for o in objects if "text" in o] == [line.text for line in page.lines]
    text = await until(await follow(house, "text/plain", project_id="demo", cursor="oldest"), f"{last}\n")
    assert text.splitlines() == [line.text for line in page.lines]


@in_house
async def test_a_log_is_deleted(house: House) -> None:
    await served(house)
    gone = await run(house, "runtime.logs.delete", project_id="demo")
    assert gone.oldest_cursor == gone.newest_cursor
    assert (await run(house, "runtime.logs", project_id="demo", cursor="oldest")).lines == []


async def unbuilt(house: House, act: str = "") -> Project:
    """A project with dependencies to build; its app is the test server, run by the environment's own Python."""
    folder = buildable(house.home / "projects" / "demo", act)
    (folder / "server.py").write_text(SERVER)
    (folder / "att.toml").write_text('[runtime]\ncommand = ["python", "server.py", "{port}"]\nport = 0\n')
    return await house.nat_project(folder)


@in_house
async def test_an_environment_is_built_with_progress_and_then_used(house: House) -> None:
    await unbuilt(house)
    before = await run(house, "runtime.environment.get", project_id="demo")
    assert before.state == "missing"
    begun = await run(house, "runtime.environment.build", project_id="demo")
    assert begun.state == "building"
    pieces = await follow(house, "application/x-ndjson", name="runtime.environment.get", project_id="demo")
    told = [json.loads(line) for line in (await until(pieces, '"done"')).splitlines()]
    assert told[-1] == {"type": "done", "state": "ready", "error": None}
    assert [t["progress"] for t in told[:-1]] == sorted(t["progress"] for t in told[:-1])
    after = await run(house, "runtime.environment.get", project_id="demo")
    assert (after.state, after.progress) == ("ready", 1.0)
    status = await run(house, "runtime.start", project_id="demo")
    assert status.command[0].endswith("/.venv/bin/python")
    with pytest.raises(AlreadyRunning):
        await run(house, "runtime.environment.build", project_id="demo", rebuild=True)
    await eventually(lambda: house.told("build.completed"))
    assert len(await house.told("build.started")) == 1


@in_house
async def test_a_build_is_waited_for_and_its_failure_told_though_the_one_before_is_back(house: House) -> None:
    project = await unbuilt(house)
    built = await run(house, "runtime.environment.build", project_id="demo", wait=50)
    assert (built.state, built.progress, built.error) == ("ready", 1.0, None)
    buildable(Path(project.path), 'raise RuntimeError("this backend never works")')
    failed = await run(house, "runtime.environment.build", project_id="demo", rebuild=True, wait=50)
    assert failed.state == "stale"
    assert failed.error
    buildable(Path(project.path))
    again = await run(house, "runtime.environment.build", project_id="demo", wait=50)
    assert (again.state, again.error) == ("ready", None)


@in_house
async def test_nobody_waits_for_a_build_when_the_daemon_leaves(house: House) -> None:
    project = await unbuilt(house, "time.sleep(600)")
    waiting = asyncio.create_task(run(house, "runtime.environment.build", project_id="demo", wait=60))
    await eventually((Path(project.path) / "mark").exists, timeout=30)
    house.runtime.leave()
    assert (await asyncio.wait_for(waiting, 10)).state == "building"


@in_house
async def test_a_start_may_build_first(house: House) -> None:
    await unbuilt(house)
    status = await run(house, "runtime.start", project_id="demo", build=True)
    assert status.state == "running"


@in_house
async def test_a_build_that_fails_hinders_the_start_that_asked_for_it(house: House) -> None:
    await unbuilt(house, 'raise RuntimeError("never")')
    with pytest.raises(EnvironmentBuildFailed):
        await run(house, "runtime.start", project_id="demo", build=True)
    after = await run(house, "runtime.environment.get", project_id="demo")
    assert after.state == "failed"
    await eventually(lambda: house.told("build.failed"))
    assert await house.told("runtime.started") == []


@in_house
async def test_a_build_is_cancelled_by_another_call(house: House) -> None:
    project = await unbuilt(house, "time.sleep(600)")
    await run(house, "runtime.environment.build", project_id="demo")
    with pytest.raises(EnvironmentBuilding):
        await run(house, "runtime.environment.build", project_id="demo")
    await eventually((Path(project.path) / "mark").exists, timeout=30)
    after = await run(house, "runtime.environment.cancel", project_id="demo")
    assert after.state == "cancelled"
    assert not (Path(project.path) / ".venv").exists()
    with pytest.raises(NoBuildRunning):
        await run(house, "runtime.environment.cancel", project_id="demo")
    [failed] = await eventually(lambda: house.told("build.failed"))
    assert failed.payload["reason"] == "cancelled"


@in_house
async def test_the_interpreter_is_the_daemons_unless_the_project_says_another(house: House) -> None:
    await unbuilt(house)
    await run(house, "runtime.start", project_id="demo", build=True)
    found = await run(house, "runtime.environment.get", project_id="demo")
    assert found.python_version.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
