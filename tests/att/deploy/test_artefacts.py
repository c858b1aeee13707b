"""What an artefact holds, that it stays as it was built, and that a build that fails leaves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from att.deploy import files, pruning
from att.deploy.errors import ArtefactBroken, TooLarge
from att.deploy.models import BuildArtefact
from att.runtime import environment
from att.runtime.sources import FILES, SEALED
from att.workflow.states import RunState
from tests.att.deploy.house import Bench, on_bench, open_bench
from tests.att.runtime.house import ME
from tests.support import eventually


def place(bench: Bench, artefact_id: str) -> Path:
    return bench.house.home / "artefacts" / "demo" / artefact_id


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@on_bench
async def test_an_artefact_is_a_copy_that_stays_as_it_was(bench: Bench) -> None:
    folder = await bench.project(serve="nat")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "mine").write_text("not of the version")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    (folder / "sub" / "empty").mkdir(parents=True)
    run = await bench.build()
    assert run.result is not None, run.problem
    artefact = run.result["artefact"]
    copy = place(bench, artefact["artefact_id"]) / FILES
    bench.version("2")
    assert "VERSION = '1'" in (copy / "server.py").read_text()
    assert not (copy / ".venv").exists()
    assert os.access(copy / "run.sh", os.X_OK)
    assert os.readlink(copy / "link") == "run.sh"
    assert (copy / "sub" / "empty").is_dir()
    assert (copy / "server.py").stat().st_mode & 0o222 == 0
    assert copy.stat().st_mode & 0o222 == 0
    assert json.loads((copy.parent / SEALED).read_text())["digest"] == artefact["digest"]
    assert artefact["files"] == 4
    assert [step.name for step in run.steps] == ["copy", "environment", "validate", "seal"]
    assert [e.payload["reused"] for e in await bench.house.told("build.completed")] == [False]


@on_bench
async def test_the_same_content_is_the_same_artefact_unless_built_anew(bench: Bench) -> None:
    await bench.project(serve="nat")
    first, again = await bench.build(), await bench.build()
    anew = await bench.build(rebuild=True)
    ids = [run.result["artefact"]["artefact_id"] for run in (first, again, anew) if run.result]
    assert ids[0] == ids[1] != ids[2]
    digests = [run.result["artefact"]["digest"] for run in (first, anew) if run.result]
    assert digests[0] == digests[1]
    assert {one.name for one in (bench.house.home / "artefacts" / "demo").iterdir()} == set(ids)


@on_bench
async def test_a_changed_artefact_is_not_brought_out(bench: Bench) -> None:
    await bench.project(serve="nat")
    await bench.out("1")
    built = await bench.build()
    assert built.result is not None
    bench.version("2")
    built = await bench.build()
    assert built.result is not None
    artefact_id = built.result["artefact"]["artefact_id"]
    program = place(bench, artefact_id) / FILES / "server.py"
    program.chmod(0o644)
    program.write_text("print('something else')")
    run = await bench.deploy(artefact_id=artefact_id)
    assert run.problem is not None
    assert (run.problem["code"], run.problem["file"]) == ("artefact_broken", "server.py")
    assert await bench.says() == "1"
    assert (await bench.deploys.status("demo")).last.state == "failed"  # type: ignore[union-attr]


@on_bench
async def test_a_commit_is_built_as_it_was(bench: Bench) -> None:
    folder = await bench.project(serve="nat")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    commit = git(folder, "rev-parse", "HEAD")
    bench.version("2")
    now, then = await bench.build(), await bench.build(revision="HEAD")
    assert now.result is not None
    assert then.result is not None, then.problem
    assert (now.result["artefact"]["revision"], now.result["artefact"]["changed"]) == (commit, True)
    assert (then.result["artefact"]["revision"], then.result["artefact"]["changed"]) == (commit, False)
    program = place(bench, then.result["artefact"]["artefact_id"]) / FILES / "server.py"
    assert "VERSION = '1'" in program.read_text()
    unknown = await bench.build(revision="no-such-branch")
    assert unknown.problem is not None
    assert unknown.problem["code"] == "revision_not_found"


@on_bench
async def test_a_plain_python_command_gets_an_environment_of_its_own(bench: Bench) -> None:
    folder = await bench.project(serve="nat")
    text = (folder / "att.toml").read_text()
    start = text.index("command = [") + len("command = [")
    (folder / "att.toml").write_text(text[:start] + '"python"' + text[text.index(",", start) :])
    run = await bench.out("1")
    assert run.state is RunState.SUCCEEDED, run.problem
    status = await bench.house.runtime.status("demo")
    assert status.command[0].startswith(str(bench.house.home / "artefacts" / "demo"))
    assert await bench.says() == "1"


@on_bench
async def test_a_failed_build_leaves_nothing_and_says_why(bench: Bench) -> None:
    folder = await bench.project(serve="nat")
    (folder / "att.toml").write_text('[runtime]\nport = "none"\n')
    run = await bench.build()
    assert run.problem is not None
    assert run.problem["code"] == "invalid_settings"
    (folder / "att.toml").write_text('[runtime]\ncommand = ["/no/such/program"]\n')
    run = await bench.build()
    assert run.problem is not None
    assert run.problem["code"] == "command_not_found"
    (folder / "att.toml").write_text("[runtime]\n")
    run = await bench.build()
    assert run.problem is not None
    assert run.problem["code"] == "no_config"
    assert list((bench.house.home / "artefacts").glob("*/*")) == []
    assert (await bench.deploys.status("demo")).artefacts == []
    assert len(await bench.house.told("build.failed")) == 3


@on_bench
async def test_a_cancelled_build_leaves_nothing(bench: Bench) -> None:
    folder = await bench.project(serve="nat")
    (folder / "requirements.txt").write_text("no-such-package-of-ours @ http://127.0.0.1:9/never.whl\n")
    run = await bench.deploys.build(BuildArtefact(project_id="demo"), ME)
    await eventually(lambda: list((bench.house.home / "artefacts").glob("*/*")))
    await bench.runs.cancel("demo", run.run_id, ME, wait=20)
    ended = await bench.ended(run)
    assert ended.state in (RunState.CANCELLED, RunState.FAILED)
    assert list((bench.house.home / "artefacts").glob("*/*")) == []


def test_what_is_half_built_is_cleared_at_the_start(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_bench(tmp_path / "home") as bench:
            await bench.project(serve="nat")
            built = await bench.build()
            assert built.result is not None
            kept = built.result["artefact"]["artefact_id"]
        half = tmp_path / "home" / "artefacts" / "demo" / "half" / "files"
        half.mkdir(parents=True)
        half.chmod(0o555)
        async with open_bench(tmp_path / "home") as bench:
            assert [one.name for one in (tmp_path / "home" / "artefacts" / "demo").iterdir()] == [kept]
            assert [one.artefact_id for one in (await bench.deploys.status("demo")).artefacts] == [kept]

    asyncio.run(story())


def test_a_project_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 3)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        (source / str(number)).write_text("")
    with pytest.raises(TooLarge):
        files.copy(source, tmp_path / "target")


names = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name.strip("."))
trees = st.dictionaries(names, st.binary(max_size=20), min_size=1, max_size=6)


@settings(deadline=None)  # it writes files, and the disk has its moments
@given(tree=trees, changed=st.binary(max_size=20))
def test_every_change_of_a_file_is_seen_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes], changed: bytes
) -> None:
    folder = tmp_path_factory.mktemp("artefact")
    place = folder / FILES
    place.mkdir()
    for name, content in tree.items():
        (place / name).write_bytes(content)
    manifest, found = files.listed(place)
    (folder / files.MANIFEST).write_text(manifest)
    digest = files.digest_of(manifest, {})
    files.verify(folder, place, {}, digest)
    (place / "beside").mkdir()
    files.verify(folder, place, {}, digest)  # what the app writes is not looked at
    assert found.files == len(tree)
    name = next(iter(tree))
    (place / name).write_bytes(changed)
    if changed == tree[name]:
        files.verify(folder, place, {}, digest)
    else:
        with pytest.raises(ArtefactBroken):
            files.verify(folder, place, {}, digest)
    with pytest.raises(ArtefactBroken):
        files.verify(folder, place, {"more": "1"}, digest)
    assert environment.look(place).installed == {}


ids = st.lists(st.integers(0, 40).map(lambda n: f"{n:02}"), unique=True).map(
    lambda found: sorted(found)[::-1]
)


@given(artefacts=ids, data=st.data())
def test_pruning_keeps_what_is_needed_and_a_bounded_number(artefacts: list[str], data: st.DataObject) -> None:
    good = data.draw(st.lists(st.sampled_from(artefacts), unique=True)) if artefacts else []
    keep = set(data.draw(st.lists(st.sampled_from(artefacts), max_size=2))) if artefacts else set()
    gone = pruning.to_remove(artefacts, good, keep)
    left = [one for one in artefacts if one not in gone]
    assert not keep & set(gone)
    assert not set(good[: pruning.GOOD]) & set(gone)
    assert len(left) <= pruning.GOOD + 1 + pruning.UNTRIED + len(keep)
    assert pruning.to_remove(left, [one for one in good if one in left], keep) == []
