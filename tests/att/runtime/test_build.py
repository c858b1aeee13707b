"""Building environments with the real uv. Nothing is fetched: the packages are the tests' own, their build backend too."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from att.runtime import environment, recipe
from att.runtime.build import ASIDE, Build, BuildState
from att.runtime.environment import Standing
from att.runtime.settings import EnvironmentSettings
from tests.support import eventually, eventually_sync

PROJECT = '[project]\nname = "small"\nversion = "1"\n'
BACKEND = """
import os, time
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    open({mark!r}, "w").write(str(os.getpid()))
    {act}
"""


def project(folder: Path, act: str = "") -> Path:
    """A project; with `act`, building it runs those words."""
    folder.mkdir(parents=True, exist_ok=True)
    text = PROJECT
    if act:
        text += '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        (folder / "backend.py").write_text(BACKEND.format(mark=str(folder / "mark"), act=act))
    (folder / "pyproject.toml").write_text(text)
    return folder


def build(folder: Path) -> Build:
    inputs = recipe.gather(folder)
    plan = recipe.write(inputs, EnvironmentSettings(), None, default_command=False)
    return Build(folder, plan, {**os.environ, "UV_OFFLINE": "1"})


async def finished(made: Build) -> BuildState:
    made.start()
    return await made.done()


def standing(folder: Path) -> Standing:
    plan = recipe.write(recipe.gather(folder), EnvironmentSettings(), None, default_command=False)
    return environment.look(folder, plan.digest).standing


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_an_environment_is_built_and_stamped(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    made = build(folder)
    assert asyncio.run(finished(made)) is BuildState.READY
    assert made.progress.share == 1.0
    assert standing(folder) is Standing.READY
    assert not environment.look(folder).own
    assert (folder / ".venv" / "bin" / "python").exists()


def test_a_changed_project_makes_it_stale_and_a_new_build_ready(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    asyncio.run(finished(build(folder)))
    (folder / "pyproject.toml").write_text(
        PROJECT + "dependencies = []\n[project.optional-dependencies]\nx = []\n"
    )
    assert standing(folder) is Standing.STALE
    asyncio.run(finished(build(folder)))
    assert standing(folder) is Standing.READY
    assert not (folder / ASIDE).exists()


def test_a_failed_build_tells_why_and_leaves_what_was_there(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    asyncio.run(finished(build(folder)))
    project(folder, 'raise RuntimeError("this backend never works")')
    made = build(folder)
    assert asyncio.run(finished(made)) is BuildState.FAILED
    assert made.problem is not None
    assert any("this backend never works" in line for line in made.lines)
    assert standing(folder) is Standing.STALE
    assert not (folder / ASIDE).exists()


async def _cancelled(folder: Path) -> int:
    made = build(folder)
    made.start()
    await eventually((folder / "mark").exists, timeout=30)
    pid = int(await eventually((folder / "mark").read_text))
    assert alive(pid)
    await made.cancel()
    assert made.state is BuildState.CANCELLED
    return pid


def test_a_cancelled_build_leaves_no_process_and_no_half_environment(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", "time.sleep(600)")
    pid = asyncio.run(_cancelled(folder))
    assert not alive(pid)
    assert standing(folder) is Standing.MISSING


async def _followed(folder: Path) -> tuple[list[str], list[str]]:
    made = build(folder)
    made.start()
    seen = [line async for _, lines in made.follow() for line in lines]
    return seen, made.lines


def test_a_follower_sees_every_line_and_the_end(tmp_path: Path) -> None:
    seen, lines = asyncio.run(_followed(project(tmp_path / "p")))
    assert seen == lines
    assert any("Creating virtual environment" in line for line in lines)


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.att.runtime.test_build import build, finished
asyncio.run(finished(build(Path(sys.argv[1]))))
"""


def test_a_build_whose_daemon_was_killed_is_recognised_and_made_anew(tmp_path: Path) -> None:
    import subprocess

    folder = project(tmp_path / "p", "time.sleep(600)")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    daemon = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], env=env)
    eventually_sync((folder / "mark").exists, timeout=30)
    orphan = int(eventually_sync((folder / "mark").read_text))
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    os.killpg(os.getpgid(orphan), signal.SIGKILL)
    assert standing(folder) is Standing.UNFINISHED
    project(folder, "")
    assert asyncio.run(finished(build(folder))) is BuildState.READY
    assert standing(folder) is Standing.READY


@pytest.mark.parametrize("act", ["raise SystemExit(9)"])
def test_a_first_build_that_fails_leaves_nothing(tmp_path: Path, act: str) -> None:
    folder = project(tmp_path / "p", act)
    assert asyncio.run(finished(build(folder))) is BuildState.FAILED
    assert not (folder / ".venv").exists()
