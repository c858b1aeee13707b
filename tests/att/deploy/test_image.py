"""Images of artefacts: what stands in the Dockerfile, what the engine gets to see, and what is told without one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from att.deploy import image
from att.deploy.engine import Engine
from att.deploy.errors import DockerUnavailable
from att.deploy.image import Facts, Installed
from att.deploy.models import BuildArtefact
from att.runtime import settings
from att.runtime.config import NatConfig
from att.workflow.states import RunState
from tests.att.deploy.house import Bench, on_bench
from tests.att.runtime.house import ME

ENGINE = """#!{python}
import json, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
if sys.argv[1] == "version":
    print("Cannot connect to the engine")
    sys.exit({version})
with open(here / "asked", "a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
shutil.copytree(sys.argv[-1], here / "context", symlinks=True)
print("Step 1/9")
print("no space left" if {build} else "Successfully built")
sys.exit({build})
"""


def engine(bench: Bench, version: int = 0, build: int = 0, name: str = "docker") -> Path:
    """A program in the place of Docker's, and a PATH with nothing else."""
    folder = bench.house.home / "bin"
    folder.mkdir()
    program = folder / name
    program.write_text(ENGINE.format(python=sys.executable, version=version, build=build))
    program.chmod(0o755)
    bench.deploys._engine = Engine({**os.environ, "PATH": str(folder)})
    return folder


def plain(folder: Path) -> None:
    """Run by the environment's own Python."""
    text = (folder / "att.toml").read_text()
    (folder / "att.toml").write_text(text.replace(sys.executable, "python"))


def facts(text: str = "", config: str | None = None, *packages: Installed) -> Facts:
    found = NatConfig(Path("/a/files") / config, {}) if config else None
    return Facts("demo", "a1", "d1", "3.12.4", settings.parse(text), found, Path("/a/files"), packages)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_an_image_holds_what_the_artefact_holds(tmp_path: Path, name: str) -> None:
    @on_bench
    async def built(bench: Bench) -> None:
        folder = await bench.project(serve="nat", port=8099)
        plain(folder)
        (folder / ".venv").mkdir()
        (folder / "run.sh").write_text("#!/bin/sh\n")
        (folder / "run.sh").chmod(0o755)
        made = engine(bench, name=name)
        run = await bench.build(image=True)
        assert run.state is RunState.SUCCEEDED, run.problem
        assert run.result is not None
        artefact = run.result["artefact"]
        assert artefact["image"] == f"att/demo:{artefact['artefact_id']}"
        [asked] = [json.loads(line) for line in (made / "asked").read_text().splitlines()]
        assert asked[:3] == ["build", "--tag", artefact["image"]]
        inside = {str(place.relative_to(made / "context")) for place in (made / "context").rglob("*")}
        assert inside == {
            *("Dockerfile", "packages.txt", "files", "files/att.toml", "files/server.py", "files/run.sh")
        }
        assert os.access(made / "context" / "files" / "run.sh", os.X_OK)
        said = (made / "context" / "Dockerfile").read_text().splitlines()
        assert said[0].startswith("FROM python:3.")
        assert json.loads(said[-1].removeprefix("CMD ")) == ["python", "server.py", "8099"]
        assert not bench.deploys.builder.scratch("demo").joinpath("image").exists()
        [known] = (await bench.deploys.status("demo")).artefacts
        assert known.image == artefact["image"]
        again = await bench.build()
        assert again.result is not None
        assert again.result["artefact"]["image"] == artefact["image"]

    built(tmp_path)


@on_bench
async def test_without_an_engine_the_build_is_refused_before_it_begins(bench: Bench) -> None:
    await bench.project(serve="nat")
    engine(bench, version=1)
    with pytest.raises(DockerUnavailable) as refused:
        await bench.deploys.build(BuildArtefact(project_id="demo", image=True), ME)
    assert "Cannot connect" in refused.value.detail
    bench.deploys._engine = Engine({"PATH": str(bench.house.home)})
    with pytest.raises(DockerUnavailable) as refused:
        await bench.deploys.build(BuildArtefact(project_id="demo", image=True), ME)
    assert "PATH" in refused.value.detail
    assert (await bench.build()).state is RunState.SUCCEEDED


@on_bench
async def test_an_image_that_fails_leaves_the_artefact(bench: Bench) -> None:
    plain(await bench.project(serve="nat"))
    engine(bench, build=3)
    run = await bench.build(image=True)
    assert run.problem is not None
    assert (run.problem["code"], run.problem["lines"]) == ("image_failed", ["Step 1/9", "no space left"])
    assert not bench.deploys.builder.scratch("demo").joinpath("image").exists()
    [known] = (await bench.deploys.status("demo")).artefacts
    assert known.image is None
    assert (await bench.deploy()).state is RunState.SUCCEEDED


@on_bench
async def test_a_file_with_a_secret_gets_into_no_image(bench: Bench) -> None:
    folder = await bench.project(serve="nat")
    plain(folder)
    settings = (folder / "att.toml").read_text()
    given = 'env = { KEY = "${file:keys/main}", OTHER = "${file:linked}", FAR = "${file:/etc/hostname}" }'
    (folder / "att.toml").write_text(settings.replace("[runtime]\n", f"[runtime]\n{given}\n"))
    (folder / "keys").mkdir()
    for name in ("main", "real", "public"):
        (folder / "keys" / name).write_text(f"the {name} key")
    (folder / "linked").symlink_to("keys/real")
    made = engine(bench)
    run = await bench.build(image=True)
    assert run.state is RunState.SUCCEEDED, run.problem
    assert [place.name for place in (made / "context" / "files" / "keys").iterdir()] == ["public"]
    assert run.result is not None
    artefact = bench.deploys.builder.folder("demo", run.result["artefact"]["artefact_id"])
    assert (artefact / "files" / "keys" / "main").read_text() == "the main key"


@pytest.mark.parametrize(("errno", "code"), [(28, "disk_full"), (13, "image_failed")])
def test_a_disk_that_refuses_the_context_is_told(tmp_path: Path, errno: int, code: str) -> None:
    @on_bench
    async def refused(bench: Bench) -> None:
        plain(await bench.project(serve="nat"))
        engine(bench)
        assert (await bench.build()).state is RunState.SUCCEEDED

        def copy(*_: object) -> None:
            raise OSError(errno, os.strerror(errno))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("att.deploy.engine.files", type("Full", (), {"copy": staticmethod(copy)}))
            run = await bench.build(image=True)
        assert run.problem is not None
        assert run.problem["code"] == code

    refused(tmp_path)


@on_bench
async def test_a_program_that_only_this_machine_has_gets_into_no_image(bench: Bench) -> None:
    folder = await bench.project(serve="nat")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "att.toml").write_text(f'[runtime]\ncommand = ["{folder}/run"]\n')
    engine(bench)
    run = await bench.build(image=True)
    assert run.problem is not None
    assert run.problem["code"] == "image_failed"
    assert f"{folder}/run" in run.problem["detail"]


def test_the_packages_are_those_of_the_environment_and_not_the_project_itself() -> None:
    found = [
        Installed("pip", "25"),
        Installed("zlib-ng", "1.0"),
        Installed("aiohttp", "3.12.1"),
        Installed("demo", "1", own=True),
        Installed("mine", "2", "git+https://example.org/mine@abc"),
    ]
    assert image.packages(found).splitlines() == [
        "aiohttp==3.12.1",
        "mine @ git+https://example.org/mine@abc",
        "zlib-ng==1.0",
    ]
    assert "RUN /app/.venv/bin/pip install --no-cache-dir --no-deps -e /app" in image.dockerfile(
        facts("", None, *found)
    )


def test_no_secret_gets_in_and_the_app_serves_on_all_addresses() -> None:
    text = '[runtime]\nenv = { KEY = "${env:SECRET}", GREETING = \'say "hi" for $1\' }\nport = 0\n'
    said = image.dockerfile(facts(text, "configs/config.yml"))
    assert "SECRET" not in said
    assert "# To be given when it is started: -e KEY" in said
    assert 'ENV GREETING="say \\"hi\\" for \\$1"' in said
    assert image.words(facts(text, "configs/config.yml")) == (
        *("nat", "serve", "--config_file", "/app/configs/config.yml"),
        *("--host", "0.0.0.0", "--port", "8000"),
    )
    of_its_own = facts('[runtime]\nserve = "socket"\napp = "a.b:app"\nport = 81\n')
    assert image.words(of_its_own) == (
        "python",
        "-m",
        "uvicorn",
        "a.b:app",
        "--host",
        "0.0.0.0",
        "--port",
        "81",
    )


@given(st.text(alphabet="aZ9-_.", min_size=1, max_size=64), st.text(alphabet='ab"\\$\n ', max_size=20))
def test_every_project_has_a_name_that_engines_take_and_a_line_for_each_value(
    project: str, value: str
) -> None:
    import re

    assert re.fullmatch(r"att/[a-z0-9]+(-[a-z0-9]+)*:a1", image.name_of(project, "a1"))
    if "${" in value:
        return
    told = facts().settings.model_copy(update={"env": {"A": value}})
    lines = image.dockerfile(Facts("demo", "a1", "d1", "3.12.4", told, None, Path("/a"), ())).splitlines()
    mine = [line for line in lines if line.startswith("ENV A=") or line.endswith("-e A")]
    assert len(mine) == 1
