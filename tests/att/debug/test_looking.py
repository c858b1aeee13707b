"""Errors and records out of a real log: whole, in order, both ways, by every filter; and the profile of an evaluation."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from att.confine_errors import PathOutsideProject
from att.debug import looking, profiles
from att.debug.errors import MalformedProfile, NoProfile
from att.debug.joining import Entry
from att.debug.models import ErrorPage, ReadErrors, ReadProfile, ReadRecords, RecordPage
from att.debug.reading import Reading
from att.problems import BadCursor
from att.runtime.errors import BadFilter
from tests.att.runtime.house import House, open_house

RECORDED = Path(__file__).parent
STAMP = "2026-11-21 10:00:00"
TRACE = """Traceback (most recent call last):
  File "{folder}/tool.py", line 3, in inner
    return table[key]
           ~~~~~^^^^^
KeyError: 'city'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/usr/lib/python3.11/asyncio/runners.py", line 190, in run
    return runner.run(main)
  File "{folder}/app.py", line 12, in answer
    raise LookupError("no city") from fault
LookupError: no city
second line of it
"""


class Place:
    """A project whose log the test writes itself."""

    def __init__(self, house: House, project_id: str, folder: Path) -> None:
        self.house, self.id, self.folder = house, project_id, folder
        self.runs = 0

    async def write(self, stdout: str = "", stderr: str = "") -> str:
        """What one run says, and its id."""
        self.runs += 1
        run = f"run-{self.runs}"
        ends = [os.pipe(), os.pipe()]
        log = await self.house.runtime.log(self.id)
        log.capture(run, ends[0][0], ends[1][0])
        for (_, end), text in zip(ends, (stdout, stderr), strict=True):
            with os.fdopen(end, "wb") as pipe:
                await asyncio.to_thread(pipe.write, text.encode())
        assert await log.drained(run)
        return run

    async def errors(self, **ask: Any) -> ErrorPage:
        return await looking.errors(ReadErrors(project_id=self.id, **ask), self.house.runtime)

    async def records(self, **ask: Any) -> RecordPage:
        return await looking.records(ReadRecords(project_id=self.id, **ask), self.house.runtime)


@asynccontextmanager
async def place(home: Path) -> AsyncIterator[Place]:
    async with open_house(home) as house:
        folder = home / "projects" / "app"
        folder.mkdir(parents=True)
        project = await house.nat_project(folder)
        yield Place(house, project.id, folder)


def at_a_place(test: Callable[[Place], Awaitable[None]]) -> Callable[[Path], None]:
    @wraps(test)
    def run(tmp_path: Path) -> None:
        async def whole() -> None:
            async with place(tmp_path / "home") as there:
                await test(there)

        asyncio.run(whole())

    del run.__wrapped__  # type: ignore[attr-defined]
    return run


@at_a_place
async def test_the_code_of_a_deployed_version_is_the_projects_own(place: Place) -> None:
    artefact = place.house.home / "artefacts" / "app" / "20260102T030405-0a1b2c3d" / "files"
    await place.write(stderr=TRACE.format(folder=artefact))
    await place.write(stderr=TRACE.format(folder=artefact / ".venv" / "lib"))
    deployed, packages = (await place.errors()).errors
    assert [frame.in_project for frame in deployed.frames] == [False, True]
    assert [frame.in_project for frame in packages.frames] == [False, False]


@at_a_place
async def test_an_error_is_told_with_its_frames_and_its_cause(place: Place) -> None:
    trace = TRACE.format(folder=place.folder)
    run = await place.write(
        stderr=f"{STAMP} - ERROR    - nat.app:7 - Error running workflow\n{trace}{STAMP} - INFO: on\n"
    )
    (found,) = (await place.errors()).errors
    assert (found.type, found.message) == ("LookupError", "no city\nsecond line of it")
    assert (found.level, found.logger, found.run, found.count) == ("error", "nat.app", run, 1)
    assert [(f.function, f.line, f.in_project) for f in found.frames] == [
        ("run", 190, False),
        ("answer", 12, True),
    ]
    (cause,) = found.chain
    assert (cause.type, cause.why, cause.frames[0].code) == ("KeyError", "cause", "return table[key]")
    assert found.text.startswith(f"{STAMP} - ERROR") and "INFO" not in found.text


def dies(folder: Path, name: str, source: str) -> str:
    """What a real Python says on stderr when it runs this."""
    (folder / name).write_text(source)
    return subprocess.run([sys.executable, str(folder / name)], capture_output=True, text=True).stderr


@at_a_place
async def test_what_a_real_python_dies_of_is_an_error(place: Place) -> None:
    script = "def f(): raise ExceptionGroup('several', [ValueError('a'), KeyError('b')])\nf()\n"
    await place.write(stderr="starting\n" + await asyncio.to_thread(dies, place.folder, "main.py", script))
    await place.write(stderr=await asyncio.to_thread(dies, place.folder, "bad.py", "x = = 1\n"))
    group, syntax = (await place.errors()).errors
    assert (group.type, [m.type for m in group.members]) == ("ExceptionGroup", ["ValueError", "KeyError"])
    assert [m.path for m in group.members] == ["1", "2"] and group.frames[-1].in_project
    assert (syntax.type, syntax.frames[-1].line, syntax.frames[-1].function) == ("SyntaxError", 1, None)


@at_a_place
async def test_two_tracebacks_in_a_row_are_two_errors(place: Place) -> None:
    one = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: 1\n'
    await place.write(stderr=one + one.replace(": 1", ": 2"))
    assert [error.message for error in (await place.errors()).errors] == ["1", "2"]


@at_a_place
async def test_equal_errors_are_told_once_with_their_number(place: Place) -> None:
    head = f"{STAMP} - ERROR    - nat.app:7 - failed\n"
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: id %d\n'
    await place.write(stderr="".join(head + trace % n for n in range(5)) + f"{head}plain\n")
    page = await place.errors(group=True)
    assert [(e.type, e.count) for e in page.errors] == [("ValueError", 5), (None, 1)]
    assert page.errors[0].message == "id 4" and page.errors[0].first_at <= page.errors[0].at
    assert len((await place.errors(type="ValueError")).errors) == 5


@at_a_place
async def test_pages_go_both_ways_and_leave_nothing_out(place: Place) -> None:
    many = "".join(f"{STAMP} - INFO     - app.loop:1 - number {n}\n  more of {n}\n" for n in range(5000))
    other = "".join(f"plain {n}\n" for n in range(500))
    await place.write(stdout=many, stderr=other)
    back: list[str] = []
    cursor: str | None = None
    for _ in range(100):
        page = await place.records(cursor=cursor, limit=1000)
        back[:0] = [record.text for record in page.records]
        cursor = page.previous_cursor
        if cursor is None:
            break
    forth: list[str] = []
    cursor = "oldest"
    for _ in range(100):
        page = await place.records(cursor=cursor, direction="newer", limit=700)
        forth += [record.text for record in page.records]
        if page.next_cursor == cursor:
            break
        cursor = page.next_cursor
    assert back == forth
    numbers = [text for text in forth if "number" in text]
    assert [text.count("\n") for text in numbers] == [1] * 5000
    assert [int(text.rpartition(" ")[2]) for text in numbers] == list(range(5000))
    assert [text for text in forth if text.startswith("plain")] == [f"plain {n}" for n in range(500)]


@at_a_place
async def test_every_filter_holds(place: Place) -> None:
    await place.write(
        stdout=f"{STAMP} - WARNING  - app.tools.web:1 - slow\n{STAMP} - INFO     - app.tools:1 - fine\n",
        stderr=f"{STAMP} - ERROR    - other:1 - broken\n  detail 42\n",
    )
    second = await place.write(stdout="hello\n")

    async def found(**ask: Any) -> list[str]:
        return [record.message for record in (await place.records(**ask)).records]

    assert await found(level="warning", logger="app.tools") == ["slow"]
    assert sorted(await found(logger="app.tools")) == ["fine", "slow"]
    assert await found(stream="stderr") == ["broken"]
    assert await found(pattern=r"detail \d+") == ["broken"]
    assert await found(run=second) == ["hello"]
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert await found(since=soon) == [] and len(await found(until=soon)) == 4
    assert await found(until=soon - timedelta(hours=1)) == []


@at_a_place
async def test_a_time_is_found_in_a_long_log(place: Place) -> None:
    await place.write(stdout="".join(f"early {n} {'x' * 80}\n" for n in range(20_000)))
    await asyncio.to_thread(lambda: None)
    middle = datetime.now(UTC)
    await place.write(stdout="".join(f"late {n} {'x' * 80}\n" for n in range(20_000)))
    first = await place.records(since=middle, direction="newer", limit=1)
    assert first.records[0].message.startswith("late 0 ")
    last = await place.records(until=middle, limit=1)
    assert last.records[0].message.startswith("early 19999 ")


@at_a_place
async def test_an_endless_record_is_cut_and_read_in_bounds(place: Place) -> None:
    await place.write(stderr=f"{STAMP} - ERROR    - a:1 - big\n" + "  line\n" * 6000 + "  the end\n")
    (record,) = (await place.records()).records
    assert record.cut and len(record.text) < 20_000 and record.message == "big"


@at_a_place
async def test_bad_questions_are_refused(place: Place) -> None:
    await place.write(stdout="hello\n")
    with pytest.raises(BadCursor):
        await place.records(cursor="abc")
    with pytest.raises(BadFilter):
        await place.records(pattern="(")
    assert (await place.errors()).errors == []


@at_a_place
async def test_what_was_deleted_is_told_as_lost(place: Place) -> None:
    await place.write(stdout="one\ntwo\n")
    log = await place.house.runtime.log(place.id)
    begin = log.oldest
    await log.delete()
    await place.write(stdout="three\n")
    page = await place.records(cursor=begin, direction="newer")
    assert page.lost is not None and page.lost.lines == 2
    assert [record.message for record in page.records] == ["three"]


# -- profiles


def test_the_files_of_a_real_profiler_are_read() -> None:
    steps, inference = (RECORDED / "recorded.csv").read_text(), (RECORDED / "recorded.json").read_text()
    found = profiles.read(steps, inference, 10)
    assert found["requests"] == 2 and found["workflow_seconds"].n == 2 and found["llm_seconds"] is None
    assert {(step.kind, step.name, step.calls) for step in found["steps"]} == {
        ("workflow", "root", 2),
        ("function", "echo", 2),
    }
    assert [request.steps for request in found["slowest"]] == [2, 2]


def test_tokens_and_times_of_models_and_tools_are_summed() -> None:
    head = "event_type,event_timestamp,example_number,prompt_tokens,completion_tokens,total_tokens,"
    head += "llm_name,tool_name,function_name,UUID\n"
    rows = [
        "LLM_START,10.0,0,0,0,0,big,,f,1",
        "LLM_END,11.5,0,10,5,15,big,,f,1",
        "TOOL_START,12,0,0,0,0,,web,f,2",
        "TOOL_END,12.25,0,0,0,0,,web,f,2",
        "LLM_START,13,1,0,0,0,big,,f,3",
        "LLM_NEW_TOKEN,13,1,7,7,7,big,,f,3",
    ]
    found = profiles.read(head + "\n".join(rows) + "\n", None, 10)
    assert found["tokens"].model_dump() == {"prompt": 10, "completion": 5, "total": 15}
    model, tool = found["steps"]
    assert (model.name, model.calls, model.unfinished, model.total_seconds) == ("big", 2, 1, 1.5)
    assert (tool.kind, tool.name, tool.max_seconds) == ("tool", "web", 0.25)


@at_a_place
async def test_the_profile_is_where_the_config_says(place: Place) -> None:
    (place.folder / "config.yml").write_text("workflow: {_type: echo}\neval: {general: {output_dir: out}}\n")

    async def ask(folder: str | None = None) -> Any:
        return await looking.profile(ReadProfile(project_id=place.id, folder=folder), place.house.runtime)

    with pytest.raises(NoProfile):
        await ask()
    (place.folder / "out").mkdir()
    shutil.copy(RECORDED / "recorded.csv", place.folder / "out" / profiles.STEPS)
    found = await ask()
    assert (found.folder, found.requests, found.files) == ("out", 2, [profiles.STEPS])
    with pytest.raises(PathOutsideProject):
        await ask("../..")
    (place.folder / "out" / profiles.STEPS).write_text("a,b\n1,2\n")
    with pytest.raises(MalformedProfile):
        await ask()
    (place.folder / "config.yml").write_text("workflow: {_type: echo}\neval: {general: {output_dir: /etc}}\n")
    with pytest.raises(NoProfile):
        await ask()


@at_a_place
async def test_a_slow_question_ends_in_time_and_can_be_gone_on_with(place: Place) -> None:
    await place.write(stdout="".join(f"line {n}\n" for n in range(300)))
    log = await place.house.runtime.log(place.id)
    seen: list[str] = []

    now = 0.0

    def slow(entry: Entry) -> bool:
        nonlocal now
        now += 0.002
        return True

    cursor: str | None = None
    rounds = 0
    while True:
        reading = Reading(log, patience=0.1, clock=lambda: now)
        found = await reading.read(slow, cursor=cursor, direction="older", limit=1000)
        seen[:0] = [entry.message for entry in found.entries]
        rounds += 1
        if found.previous is None:
            break
        cursor = reading.cursor(found.previous)
    assert seen == [f"line {n}" for n in range(300)] and rounds > 2
