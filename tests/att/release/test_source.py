"""Where a release is made from: folders and commits, and what is refused."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from threading import Event

import pytest

from att.release import errors, source
from att.release.disk import Disk
from att.release.source import Source
from launcher.protocol.kin import read
from tests.att.release.house import committed, git, make_source
from tests.att.rooms import on_a_loop
from tests.support import eventually_sync


def find(told: object, repository: Path | None = None) -> Source:
    return asyncio.run(source.find(str(told), repository))


def fetched(found: Source, place: Path) -> dict[str, str]:
    asyncio.run(source.fetch(found, place, Disk(), Event()))
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def test_a_folder_is_taken_as_it_lies_there(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "src")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "big").write_text("no")
    (folder / "att" / "__pycache__").mkdir()
    (folder / "att" / "__pycache__" / "x.pyc").write_text("no")
    (folder / "att" / "run").write_text("#!/bin/sh\n")
    (folder / "att" / "run").chmod(0o755)
    (folder / "alias").symlink_to("att/run")
    found = find(folder)
    assert (found.version, found.commit) == ("9.9", None)
    copied = fetched(found, tmp_path / "copy")
    assert set(copied) == {"pyproject.toml", "requirements.lock", "backend.py", "alias"} | {
        f"att/{name}" for name in ("__init__.py", "daemon.py", "run")
    }
    assert os.access(tmp_path / "copy" / "att" / "run", os.X_OK)
    assert (tmp_path / "copy" / "alias").is_symlink()


def test_a_folder_under_git_is_taken_without_what_git_ignores(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "src")
    (folder / ".gitignore").write_text("secret\n")
    commit = committed(folder)
    (folder / "secret").write_text("no")
    assert find(folder).commit == commit
    (folder / "new.py").write_text("yes")
    (folder / "backend.py").unlink()
    changed = find(folder)
    assert changed.commit is None, "it differs from the commit"
    copied = fetched(changed, tmp_path / "copy")
    assert "new.py" in copied
    assert not {"secret", "backend.py"} & set(copied)


def test_the_same_files_have_the_same_origin(tmp_path: Path) -> None:
    one, other = (make_source(tmp_path / name) for name in ("one", "other"))
    assert find(one).origin == find(other).origin
    (other / "att" / "__init__.py").write_text("x = 1\n")
    assert find(one).origin != find(other).origin


@pytest.mark.parametrize("word", ["main", "HEAD", "v1", "short"])
def test_a_commit_is_taken_by_any_of_its_names(tmp_path: Path, word: str) -> None:
    folder = make_source(tmp_path / "src")
    commit = committed(folder)
    git(folder, "tag", "v1")
    (folder / "later.py").write_text("not of this commit")
    found = find(commit[:9] if word == "short" else word, folder)
    assert (found.commit, found.version) == (commit, "9.9")
    assert "later.py" not in fetched(found, tmp_path / "copy")
    assert not (tmp_path / "copy.tar").exists()


@pytest.mark.parametrize(
    "told", ["--upload-pack=x", "-h", "no-such-branch", "a\0b", "main\nx", "HEAD:att", "../x"]
)
def test_what_is_no_commit_is_refused(tmp_path: Path, told: str) -> None:
    folder = make_source(tmp_path / "src")
    committed(folder)
    with pytest.raises(errors.SourceNotFound):
        find(told, folder)


def test_an_option_in_disguise_is_taken_for_a_name(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "src")
    committed(folder)
    mark = tmp_path / "mark"
    for told in (f"--output={mark}", f"main --output={mark}", f"$(touch {mark})", f"`touch {mark}`"):
        with pytest.raises(errors.SourceNotFound):
            find(told, folder)
    assert not mark.exists()


def test_the_repository_runs_nothing_of_its_own(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "src")
    committed(folder)
    mark = tmp_path / "mark"
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    git(folder, "config", "core.fsmonitor", f"touch {mark}; false")
    git(folder, "config", "core.pager", f"touch {mark}")
    fetched(find("main", folder), tmp_path / "one")
    fetched(find(folder), tmp_path / "other")
    assert not mark.exists()


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.SourceNotFound):
        find(tmp_path / "none")
    with pytest.raises(errors.NoRepository):
        find("main")
    with pytest.raises(errors.NoRepository):
        find("main", tmp_path / "none")
    with pytest.raises(errors.NoRepository):
        find("main", tmp_path)


def test_what_is_not_att_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.SourceInvalid):
        find(tmp_path)
    folder = make_source(tmp_path / "src")
    (folder / "requirements.lock").unlink()
    committed(folder)
    for told in (folder, "main"):
        with pytest.raises(errors.SourceInvalid, match=r"requirements\.lock"):
            find(told, folder)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "att/../../x"])
def test_a_link_that_leads_out_is_not_followed_and_not_made(tmp_path: Path, target: str) -> None:
    folder = make_source(tmp_path / "src")
    (folder / "evil").symlink_to(target)
    committed(folder)
    for found in (find(folder), find("main", folder)):
        place = tmp_path / str(found.archive)
        with pytest.raises(errors.SourceInvalid, match="leads out"):
            asyncio.run(source.fetch(found, place, Disk(), Event()))


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "src")
    with (folder / "huge").open("wb") as file:
        file.truncate(source.LARGEST + 1)
    with pytest.raises(errors.SourceInvalid, match="larger"):
        fetched(find(folder), tmp_path / "copy")


def test_a_stopped_copy_stops(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(source.Stopped):
        asyncio.run(source.fetch(find(make_source(tmp_path / "src")), tmp_path / "copy", Disk(), stop))


def test_our_own_repository_is_found(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "src")
    assert source.own_repository(None, folder / "att") is None
    committed(folder)
    assert source.own_repository(None, folder / "att") == folder
    assert source.own_repository({"repository": str(folder)}, tmp_path / "elsewhere" / "att") == folder
    assert source.own_repository({"repository": str(tmp_path / "gone")}, tmp_path / "att") is None


HELPED = "#!/bin/sh\nsleep 30 & echo $! > {0}.new; mv {0}.new {0}; wait\n"
"""A git that leaves a helper which holds its pipes open."""


@on_a_loop
async def test_a_cancel_while_git_starts_or_works_leaves_no_helper_and_waits_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper, program = tmp_path / "helper", tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(HELPED.format(helper))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    for rounds in (2, 20):  # our end of its pipes is not there yet, and is
        asking = asyncio.create_task(source.git(tmp_path, "status"))
        for _ in range(rounds):
            await asyncio.sleep(0)
        eventually_sync(helper.exists)
        began = time.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert time.monotonic() - began < 10
        found = read(int(helper.read_text()))
        assert found is None or not found.alive
        helper.unlink()


@on_a_loop
async def test_a_git_that_says_too_much_or_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_source(tmp_path / "src")
    committed(folder)
    monkeypatch.setattr(source, "LARGEST", 10)
    with pytest.raises(errors.GitFailed, match="more than"):
        await source.git(folder, "ls-files")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.GitFailed, match="no git"):
        await source.git(folder, "ls-files")
