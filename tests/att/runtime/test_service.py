"""The service with a real server, keeper, log and store."""

import asyncio
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from att.problems import ProjectNotFound
from att.project.models import ProjectStatus
from att.runtime.errors import (
    AlreadyRunning,
    CommandNotFound,
    EnvironmentNotBuilt,
    NotRunning,
    PortInUse,
    SecretMissing,
    StartFailed,
    StartTimeout,
)
from att.runtime.models import RuntimeStatus
from tests.att.runtime.house import ME, House, in_house, open_house
from tests.support import eventually


def ask(status: RuntimeStatus, path: str = "/") -> str:
    with urllib.request.urlopen(f"{status.url}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def alive(pid: int | None) -> bool:
    return pid is not None and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@in_house
async def test_a_started_app_answers_and_a_stopped_one_is_gone(house: House) -> None:
    await house.project("demo", 'env = { GREETING = "good day" }')
    status = await house.runtime.start("demo", ME)
    assert (status.state, status.healthy) == ("running", True)
    assert await asyncio.to_thread(ask, status) == "good day"
    assert status.rss_bytes
    stopped = await house.runtime.stop("demo", ME)
    assert stopped.state == "stopped"
    assert not alive(status.pid)
    assert (await house.projects.get("demo")).status is ProjectStatus.STOPPED
    [started], [ended] = await house.told("runtime.started"), await house.told("runtime.stopped")
    assert (started.actor, started.request_id) == ("tester", "req-1")
    assert started.payload["run_id"] == ended.payload["run_id"] == status.run_id
    assert len(await house.told("runtime.ready")) == 1


@in_house
async def test_a_second_start_and_a_second_stop_are_refused(house: House) -> None:
    await house.project("demo")
    first = await house.runtime.start("demo", ME)
    with pytest.raises(AlreadyRunning):
        await house.runtime.start("demo", ME)
    assert (await house.runtime.status("demo")).pid == first.pid
    await house.runtime.stop("demo", ME)
    with pytest.raises(NotRunning):
        await house.runtime.stop("demo", ME)
    with pytest.raises(ProjectNotFound):
        await house.runtime.stop("nobody", ME)
    with pytest.raises(ProjectNotFound):
        await house.runtime.status("nobody")


@in_house
async def test_two_starts_at_once_make_one_app(house: House) -> None:
    await house.project("demo")
    tries = [house.runtime.start("demo", ME) for _ in range(5)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert len([a for a in answers if isinstance(a, RuntimeStatus)]) == 1
    assert len([a for a in answers if isinstance(a, AlreadyRunning)]) == 4
    assert len(await house.told("runtime.started")) == 1


@in_house
async def test_another_app_takes_the_place_of_the_first(house: House) -> None:
    await house.project("one")
    await house.project("two")
    first = await house.runtime.start("one", ME)
    second = await house.runtime.start("two", ME)
    assert not alive(first.pid)
    assert alive(second.pid)
    assert (await house.runtime.status("one")).state == "stopped"
    [ended] = await house.told("runtime.stopped")
    assert (ended.project_id, ended.payload["reason"]) == ("one", "two was started")


@in_house
async def test_a_killed_app_comes_back_and_the_record_says_so(house: House) -> None:
    await house.project("demo")
    first = await house.runtime.start("demo", ME)
    assert first.pid is not None
    os.kill(first.pid, 9)

    async def back() -> bool:
        now = await house.runtime.status("demo")
        return now.state == "running" and now.pid != first.pid and bool(now.healthy)

    await eventually(back)
    await eventually(lambda: house.told("runtime.restarted"))
    [ended] = await house.told("runtime.exited")
    assert (ended.payload["exit_signal"], ended.payload["asked"]) == (9, False)
    [again] = await house.told("runtime.restarted")
    assert again.payload["previous"] == first.run_id
    assert (await house.runtime.status("demo")).restarts == 1


@in_house
async def test_a_restart_takes_the_settings_of_today(house: House) -> None:
    project = await house.project("demo")
    first = await house.runtime.start("demo", ME)
    toml = Path(project.path) / "att.toml"
    toml.write_text(toml.read_text() + 'env = { GREETING = "changed" }\n')
    second = await house.runtime.restart("demo", ME)
    assert second.pid != first.pid
    assert second.port == first.port
    assert await asyncio.to_thread(ask, second) == "changed"


@in_house
async def test_a_restart_with_bad_settings_leaves_the_app_alone(house: House) -> None:
    project = await house.project("demo")
    first = await house.runtime.start("demo", ME)
    toml = Path(project.path) / "att.toml"
    toml.write_text(toml.read_text() + 'env = { KEY = "${env:NOT_SET_ANYWHERE}" }\n')
    with pytest.raises(SecretMissing):
        await house.runtime.restart("demo", ME)
    assert (await house.runtime.status("demo")).pid == first.pid
    assert await asyncio.to_thread(ask, first) == "hello"


@in_house
async def test_what_is_wrong_is_refused_before_anything_is_started(house: House) -> None:
    one = await house.project("one")
    await house.runtime.start("one", ME)
    await house.project("broken")
    toml = house.home / "projects" / "broken" / "att.toml"
    port = (await house.runtime.status("one")).port
    toml.write_text('[runtime]\ncommand = ["no-such-program-anywhere", "{port}"]\nport = 0\n')
    with pytest.raises(CommandNotFound):
        await house.runtime.start("broken", ME)
    toml.write_text("[runtime]\nport = 0\n")
    (toml.parent / "config.yml").write_text("workflow: {_type: echo}\n")
    with pytest.raises(EnvironmentNotBuilt) as caught:
        await house.runtime.start("broken", ME)
    assert "build" in caught.value.advice
    assert port is not None
    assert alive((await house.runtime.status(one.id)).pid)
    assert len(await house.told("runtime.started")) == 1


@in_house
async def test_a_port_of_another_program_is_told_before_the_start(house: House) -> None:
    import socket

    project = await house.project("demo")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        toml = Path(project.path) / "att.toml"
        toml.write_text(toml.read_text().replace("port = 0", f"port = {taken.getsockname()[1]}"))
        with pytest.raises(PortInUse) as caught:
            await house.runtime.start("demo", ME)
        assert caught.value.extra["pid"] == os.getpid()
    assert await house.told("runtime.started") == []


@in_house
async def test_an_app_that_dies_at_its_start_is_told_by_its_own_error(house: House) -> None:
    await house.project("demo", 'restart = "temporary"', "raise RuntimeError('the disk is on fire')")
    with pytest.raises(StartFailed) as caught:
        await house.runtime.start("demo", ME)
    assert caught.value.detail == "RuntimeError: the disk is on fire"
    assert any("Traceback" in line for line in caught.value.extra["lines"])

    async def told() -> bool:
        return any(
            "the disk is on fire" in str(event.payload["error"])
            for event in await house.told("runtime.exited")
        )

    await eventually(told)


@in_house
async def test_an_error_that_no_restart_can_mend_ends_the_restarts(house: House) -> None:
    await house.project("demo", "", "import there_is_no_such_module")
    with pytest.raises(StartFailed, match="there_is_no_such_module"):
        await house.runtime.start("demo", ME)

    async def failed() -> bool:
        return (await house.runtime.status("demo")).state == "failed"

    await eventually(failed)
    assert len(await house.told("runtime.started")) <= 3
    assert "there_is_no_such_module" in (await house.runtime.status("demo")).reason

    async def error() -> bool:
        return (await house.projects.get("demo")).status is ProjectStatus.ERROR

    await eventually(error)


@in_house
async def test_a_start_that_takes_long_goes_on_after_the_wait_and_can_be_stopped(house: House) -> None:
    await house.project("demo", "", "import time; time.sleep(600)")
    with pytest.raises(StartTimeout):
        await house.runtime.start("demo", ME, timeout=0.3)
    now = await house.runtime.status("demo")
    assert now.state == "starting"
    assert (await house.runtime.stop("demo", ME)).state == "stopped"
    assert not alive(now.pid)


@in_house
async def test_a_stop_comes_between_a_start_that_waits(house: House) -> None:
    await house.project("demo", "", "import time; time.sleep(600)")
    waiting = asyncio.create_task(house.runtime.start("demo", ME, timeout=30))

    async def starting() -> bool:
        return (await house.runtime.status("demo")).state == "starting"

    await eventually(starting)
    await house.runtime.stop("demo", ME)
    with pytest.raises(StartFailed, match="stopped while it started"):
        await waiting


@in_house
async def test_the_private_tmp_is_wiped_after_a_run_and_no_secret_is_left_on_disk(house: House) -> None:
    project = await house.project("demo", 'env = { SECRET = "${file:secret}" }')
    secret = "correct-horse-battery-staple"
    (Path(project.path) / "secret").write_text(secret + "\n")
    await house.runtime.start("demo", ME)
    tmp = house.home / "run" / "demo" / "tmp"
    assert (tmp / "left-behind").read_text() == secret
    assert tmp.stat().st_mode & 0o777 == 0o700
    await house.runtime.stop("demo", ME)
    holding = [p for p in house.home.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
    assert holding == [Path(project.path) / "secret"]


@in_house
async def test_output_of_both_streams_comes_at_once(house: House) -> None:
    await house.project("demo")
    await house.runtime.start("demo", ME)

    async def there() -> bool:
        return {"ready", "to stderr"} <= set(await house.lines("demo"))

    await eventually(there)


@in_house
async def test_deleting_a_project_stops_its_app_and_forgets_its_log(house: House) -> None:
    await house.project("demo")
    status = await house.runtime.start("demo", ME)
    await house.projects.delete("demo", ME)
    assert not alive(status.pid)
    assert not (house.home / "logs" / "demo").exists()
    assert not (house.home / "run" / "demo").exists()


async def _two_lives(home: Path) -> None:
    async with open_house(home) as house:
        await house.project("demo")
        first = await house.runtime.start("demo", ME)
    assert not alive(first.pid)
    async with open_house(home) as house:
        before = await house.runtime.status("demo")
        assert (before.state, before.run_id) == ("stopped", first.run_id)
        await house.runtime.resume()

        async def runs() -> bool:
            return (await house.runtime.status("demo")).state == "running"

        await eventually(runs)
        await house.runtime.stop("demo", ME)
    async with open_house(home) as house:
        await house.runtime.resume()
        assert (await house.runtime.status("demo")).state == "stopped"


def test_the_wanted_app_is_started_again_by_the_next_life_and_a_stopped_one_is_not(tmp_path: Path) -> None:
    asyncio.run(_two_lives(tmp_path / "home"))


KILLED = """
import asyncio, os, sys
from pathlib import Path
from tests.att.runtime.house import ME, open_house

async def life(home):
    async with open_house(home) as house:
        await house.project("demo", 'env = { SECRET = "very-secret" }')
        status = await house.runtime.start("demo", ME)
        print(status.pid, status.run_id, flush=True)
        os.kill(os.getpid(), 9)

asyncio.run(life(Path(sys.argv[1])))
"""


async def _after_a_kill(home: Path, run_id: str) -> None:
    async with open_house(home) as house:
        past = await house.runtime.status("demo")
        assert (past.state, past.reason, past.run_id) == ("stopped", "daemon_lost", run_id)
        [ended] = await house.told("runtime.exited")
        assert ended.payload["reason"] == "daemon_lost"
        await house.runtime.resume()

        async def runs() -> bool:
            return (await house.runtime.status("demo")).state == "running"

        await eventually(runs)


def test_after_a_kill_of_the_daemon_its_app_is_ended_its_run_closed_and_a_new_one_started(
    tmp_path: Path,
) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=env, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == -9, done.stderr
    pid, run_id = done.stdout.split()
    asyncio.run(_after_a_kill(tmp_path, run_id))
    assert not alive(int(pid))
    assert not list((tmp_path / "run").glob("*/tmp/*"))
