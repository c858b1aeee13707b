"""A project as one archive: the same bytes for the same files, without what is not the project's, and back again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from att.cli.main import main
from att.project import errors
from att.project.export import SMALL, export, whole
from att.project.models import ExportProject
from tests.att.project.archives import download, put
from tests.att.rooms import on_a_loop, rooms
from tests.daemon import RunningDaemon, running


def project(folder: Path) -> Path:
    files = {
        "a.py": "a = 1\n",
        "src/b ü": "b",
        "run.sh": "#!/bin/sh\n",
        ".gitignore": "*.log\n.secret\n",
        ".hidden": "h",
        "x.log": "ignored",
        ".secret": "ignored",
        "env/pyvenv.cfg": "",
        "env/bin/python": "",
        "environment": "kept",
        ".git/HEAD": "ref: refs/heads/main\n",
        ".git/config": "[remote]\n\turl = https://me:SECRET@example.org\n",
        ".git/hooks/pre-commit": "#!/bin/sh\n",
        ".git/modules/sub/config": "[remote]\n\turl = https://me:SECRET@example.org\n",
        ".git/objects/ab/cd": "o",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "run.sh").chmod(0o755)
    (folder / "in").symlink_to("src/b ü")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("../outside")
    os.mkfifo(folder / "pipe")
    return folder


async def pieces(folder: Path, **named: Any) -> bytes:
    found = b""
    async for piece in export(folder, "app", **{"kind": "tar.gz", "git": False, "ignored": False, **named}):
        found += piece
    return found


KEPT = {
    "app",
    "app/.gitignore",
    "app/.hidden",
    "app/a.py",
    "app/environment",
    "app/in",
    "app/run.sh",
    "app/src",
    "app/src/b ü",
}


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@on_a_loop
async def test_an_archive_holds_the_projects_own_files_and_comes_out_the_same(
    tmp_path: Path, kind: str
) -> None:
    first = await pieces(project(tmp_path / "one"), kind=kind)
    assert await pieces(project(tmp_path / "two"), kind=kind) == first
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(first)) as packed:
            assert packed.testzip() is None
            assert {name.rstrip("/") for name in packed.namelist()} == KEPT
    else:
        with tarfile.open(fileobj=io.BytesIO(first)) as tar:
            assert set(tar.getnames()) == KEPT
            assert {(each.uid, each.uname, each.mtime) for each in tar} == {(0, "", 315_532_800)}


@on_a_loop
async def test_the_repository_comes_along_on_wish_without_secrets_and_hooks(tmp_path: Path) -> None:
    found = await pieces(project(tmp_path / "one"), git=True, ignored=True)
    with tarfile.open(fileobj=io.BytesIO(found)) as tar:
        names = set(tar.getnames())
        config = tar.extractfile("app/.git/config")
        assert config is not None and b"SECRET" not in config.read()
    assert names >= {"app/.git/HEAD", "app/.git/objects/ab/cd", "app/x.log"}
    assert not [name for name in names if "hooks" in name or name.startswith("app/env/")]


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@on_a_loop
async def test_what_is_exported_can_be_downloaded(tmp_path: Path, kind: str) -> None:
    async with rooms(tmp_path / "home") as house:
        packed = await pieces(project(tmp_path / "one"), kind=kind)
        folder = Path((await download(house, file=put(house, packed), name="back")).path)
        assert (folder / "run.sh").stat().st_mode & 0o111 and not (folder / "a.py").stat().st_mode & 0o111
        assert (folder / "in").read_text() == "b"
        assert {name.replace("app", "", 1).lstrip("/") for name in KEPT - {"app"}} == all_below(folder)


def all_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@on_a_loop
async def test_one_answer_holds_a_small_archive_only(tmp_path: Path) -> None:
    folder = project(tmp_path / "one")
    ask = ExportProject(project_id="app")
    small = await whole(export(folder, "app", kind="tar.gz", git=False, ignored=False), ask)
    data = base64.b64decode(small.content)
    assert (small.size, small.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    (folder / "large").write_bytes(os.urandom(SMALL + 1))
    with pytest.raises(errors.ExportTooLarge):
        await whole(export(folder, "app", kind="tar.gz", git=False, ignored=False), ask)


@on_a_loop
async def test_who_goes_away_in_the_middle_leaves_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    import threading

    folder = project(tmp_path / "one")
    (folder / "large").write_bytes(os.urandom(4 << 20))
    before = descriptors()
    for _ in range(5):
        stream = export(folder, "app", kind="zip", git=False, ignored=False)
        assert await anext(stream)
        await stream.aclose()
    for thread in threading.enumerate():
        if thread.name.startswith("export"):
            await asyncio.to_thread(thread.join, 10)
    await asyncio.sleep(0)  # the loop closes the pipes in its next turn
    assert descriptors() <= before + 1 and not [
        t for t in threading.enumerate() if t.name.startswith("export")
    ]


def descriptors() -> int:
    return psutil.Process().num_fds()


# -- at the doors


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running(tmp_path_factory.mktemp("export") / "home", ATT_LOG_LEVEL="warning") as daemon:
        daemon.project("app", ["true"])
        project(daemon.home / "projects" / "app")
        yield daemon
        assert "Traceback" not in daemon.said


@pytest.mark.parametrize(
    ("target", "accept", "kind"),
    [
        ("", "*/*", "application/gzip"),
        ("?format=zip", "*/*", "application/zip"),
        ("?format=zip", "application/gzip, application/zip", "application/zip"),
        ("", "application/json", "application/json"),
    ],
)
def test_http_answers_with_the_archive_itself(
    daemon: RunningDaemon, target: str, accept: str, kind: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port)
    head = {"Authorization": f"Bearer {daemon.token}", "Accept": accept}
    connection.request("GET", f"/api/v1/projects/app/archive{target}", headers=head)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    if kind == "application/zip":
        assert answer.headers["Content-Disposition"] == 'attachment; filename="app.zip"'
        assert "app/a.py" in zipfile.ZipFile(io.BytesIO(data)).namelist()
    elif kind == "application/gzip":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert "app/a.py" in tar.getnames()


def test_the_command_line_writes_a_file_and_makes_a_project_of_it(
    daemon: RunningDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATT_HOME", str(daemon.home))
    monkeypatch.setenv("ATT_LISTEN", f"127.0.0.1:{daemon.port}")
    target = daemon.home / "projects" / "app.zip"
    assert main(["project", "export", "app", "--format", "zip", "-o", str(target)]) == 0
    assert zipfile.ZipFile(target).testzip() is None
    assert main(["project", "download", "--file", str(target), "--name", "copy", "--json"]) == 0
    assert (daemon.home / "projects" / "copy" / "a.py").exists()
    assert main(["project", "export", "nobody", "-o", str(tmp_path / "none")]) == 1
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()
