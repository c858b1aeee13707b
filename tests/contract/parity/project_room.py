"""What more is asked of the project room: archives, repositories, and places that are taken."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from tests.att.project.archives import link, tarred, zipped
from tests.contract.parity import repositories as r
from tests.contract.parity.case import Case
from tests.contract.parity.programs import git_again, git_says, no_git
from tests.contract.parity.repositories import HELD, held
from tests.daemon import RunningDaemon

MADE = "made-here"
ARCHIVES = {
    "good.zip": zipped({"top/a.txt": "one\n", "top/folder/b.txt": "two\n"}),
    "none.zip": b"this is no archive",
    "out.tar.gz": tarred([link("a", "../../../out")]),
    "bomb.zip": zipped({"a": bytes(24 << 20)}),
}
FORGOTTEN = (MADE, "held-remote", "good", "foreign")


def fresh(daemon: RunningDaemon) -> None:
    """The archives are there, and nothing that was made of them."""
    for name in FORGOTTEN:
        assert daemon.ask("DELETE", f"/projects/{name}").status in (200, 404)
    projects = daemon.home / "projects"
    for name in (MADE, "foreign"):
        shutil.rmtree(projects / name, ignore_errors=True)
    (projects / "archives").mkdir(exist_ok=True)
    for name, content in ARCHIVES.items():
        (projects / "archives" / name).write_bytes(content)
    git_again(daemon)


def in_the_way(daemon: RunningDaemon) -> None:
    """There is something where the project would be."""
    fresh(daemon)
    (daemon.home / "projects" / MADE).mkdir()
    (daemon.home / "projects" / MADE / "a.txt").write_text("somebody else's\n")


def registered(daemon: RunningDaemon) -> None:
    """The directory where the project would be is another project."""
    fresh(daemon)
    folder = daemon.home / "projects" / MADE
    folder.mkdir()
    assert daemon.ask("POST", "/projects", {"name": "foreign", "path": str(folder)}).status == 201


def remote(daemon: RunningDaemon) -> None:
    fresh(daemon)
    held()(daemon)


def without_git(daemon: RunningDaemon) -> None:
    remote(daemon)
    no_git(daemon)


def guarded(daemon: RunningDaemon) -> None:
    remote(daemon)
    git_says("clone", "fatal: Authentication failed for 'https://example.org/a.git/'")(daemon)


def full(daemon: RunningDaemon) -> None:
    remote(daemon)
    git_says("clone", "fatal: write error: No space left on device")(daemon)


def no_place(daemon: RunningDaemon) -> None:
    """There is a file where the projects are to be."""
    projects_again(daemon)
    fresh(daemon)
    (daemon.home / "projects").rename(daemon.home / "projects-aside")
    (daemon.home / "projects").write_text("")


def projects_again(daemon: RunningDaemon) -> None:
    if (aside := daemon.home / "projects-aside").exists():
        (daemon.home / "projects").unlink()
        aside.rename(daemon.home / "projects")


def large(folder: Path) -> None:
    (folder / "large").write_bytes(random.Random(1).randbytes(9 << 20))


AT = "{home}/projects"
NEW = {"name": MADE, "template": "echo"}
CLONED = {"name": MADE, "clone_url": f"{AT}/held-remote.git"}
GOOD = {"name": MADE, "file": f"{AT}/archives/good.zip"}
CASES = [
    Case("project.create", CLONED, before=remote),
    Case("project.create", {**CLONED, "branch": "nowhere"}, "branch_not_found", remote),
    Case("project.create", {**CLONED, "clone_url": f"{AT}/nowhere.git"}, "repository_not_found", remote),
    Case("project.create", CLONED, "clone_unauthorized", guarded, after=git_again),
    Case("project.create", CLONED, "git_missing", without_git, after=git_again),
    Case("project.create", CLONED, "disk_full", full, after=git_again),
    Case("project.create", {"name": "another", "path": f"{AT}/app"}, "directory_registered"),
    Case("project.create", {"name": "another", "path": f"{AT}/nowhere"}, "path_not_found"),
    Case("project.create", NEW, "directory_not_empty", in_the_way),
    Case("project.create", NEW, "files_not_made", no_place, after=projects_again),
    Case("project.download", GOOD, before=fresh),
    Case("project.download", {"file": f"{AT}/archives/good.zip"}, before=fresh),
    Case("project.download", {}, "invalid_request"),
    Case("project.download", {**GOOD, "name": "?!"}, "invalid_project_name", fresh),
    Case("project.download", {**GOOD, "name": "app"}, "project_exists", fresh),
    Case("project.download", GOOD, "directory_registered", registered),
    Case("project.download", GOOD, "directory_not_empty", in_the_way),
    Case("project.download", {**GOOD, "file": f"{AT}/archives/nowhere.zip"}, "path_not_found", fresh),
    Case("project.download", {**GOOD, "file": os.devnull}, "path_outside_roots", fresh),
    Case("project.download", {"archive_url": "ftp://example.org/a.zip"}, "download_url_refused"),
    Case("project.download", {"archive_url": "http://127.0.0.1:9/a.zip"}, "address_refused"),
    Case("project.download", {"archive_url": "http://nowhere.invalid/a.zip"}, "download_failed"),
    Case("project.download", {**GOOD, "file": f"{AT}/archives/none.zip"}, "not_an_archive", fresh),
    Case("project.download", {**GOOD, "file": f"{AT}/archives/out.tar.gz"}, "archive_refused", fresh),
    Case("project.download", {**GOOD, "file": f"{AT}/archives/bomb.zip"}, "archive_too_large", fresh),
    Case(
        "project.download",
        {"archive_url": "http://nowhere.invalid/a.zip", "name": MADE},
        "files_not_made",
        no_place,
        after=projects_again,
    ),
    Case("project.export", HELD, before=held()),
    Case("project.export", {**HELD, "format": "zip", "ignored": True}, before=held()),
    Case("project.export", {"project_id": "nobody"}, "project_not_found"),
    Case("project.export", HELD, "project_directory_missing", held(r.gone)),
    Case("project.export", HELD, "export_too_large", held(large)),
]

_IN_BETWEEN = "tests/att/project/test_projects.py: somebody else deletes it meanwhile"
ELSEWHERE: dict[str, str] = {}
ERRORS_ELSEWHERE = {
    "creation_cancelled": _IN_BETWEEN,
    "clone_timed_out": "tests/att/project/test_clone.py: it takes ten minutes at the doors",
    "download_timed_out": "tests/att/project/test_fetching.py: it takes half a minute at the doors",
    "project.download: disk_full": "tests/att/project/test_fetching.py: it needs a disk that is full",
    "files_not_removed": "tests/att/project/test_delete.py: nothing is refused to the superuser",
}
