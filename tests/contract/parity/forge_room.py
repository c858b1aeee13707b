"""What is asked of the forge: pull requests, reviews and checks, at a double of GitHub and at the local forge."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from att.rooms import catalogue
from tests.att.project.repositories import git
from tests.contract.parity import github
from tests.contract.parity import repositories as r
from tests.contract.parity.case import Case
from tests.contract.parity.git_room import SAID
from tests.contract.parity.programs import git_again, git_is_endless, git_says, no_git
from tests.contract.parity.repositories import Before
from tests.daemon import RunningDaemon
from tests.support import eventually_sync

ALL: dict[str, dict[str, Any]] = {
    "git.actions": {},
    "git.actions.logs": {"run": "1"},
    "git.actions.cancel": {"run": "1"},
    "git.actions.rerun": {"run": "1"},
    "git.pr.create": {"title": "The work", "head": "feature", "base": "main"},
    "git.pr.list": {},
    "git.pr.merge": {"number": 1},
    "git.pr.close": {"number": 1},
    "git.pr.review": {"number": 1},
    "git.pr.review.create": {"number": 1, "verdict": "comment", "body": "ok"},
    "git.pr.get": {"number": 1},
}
DECLARED = {o.name: {kind.code for kind in o.errors} for o in catalogue() if o.name in ALL}
FRESH = frozenset({"id", "sha", "submitted_at"})

# -- projects, each made once and then left as it is


def project(name: str, make: Callable[[Path], object], *, then: Before = git_again) -> Before:
    """A project that `make` has made of an empty repository."""

    def before(daemon: RunningDaemon) -> None:
        git_again(daemon)
        if daemon.ask("GET", f"/projects/{name}").status == 404:
            folder = daemon.home / "projects" / name
            folder.mkdir()
            git(folder, "init", "-q")
            assert daemon.ask("POST", "/projects", {"path": str(folder)}).status == 201
            make(folder)
        then(daemon)

    return before


def empty(folder: Path) -> None:
    """As it is."""


def outside(folder: Path) -> None:
    """Its remote is a bare repository in none of the allowed roots."""
    elsewhere = folder.parent.parent.parent / "outside.git"
    git(folder, "init", "-q", "--bare", str(elsewhere))
    git(folder, "remote", "add", "origin", str(elsewhere))


STATES: dict[str, Before] = {
    "project_directory_missing": project("forge-gone", r.gone),
    "not_a_repository": project("forge-none", r.no_repository),
    "repository_elsewhere": project("forge-elsewhere", r.elsewhere),
    "git_failed": project("forge-failed", r.too_far),
    "invalid_forge_settings": project("forge-settings", r.write({"att.toml": "[git]\nforge = 1\n"})),
    "no_forge": project("forge-nobody", r.write({"att.toml": "[git]\nforge = 'github'\n"})),
    "remote_not_allowed": project("forge-outside", outside),
    "git_missing": project("forge-missing", empty, then=no_git),
    "git_output_too_large": project("forge-endless", empty, then=git_is_endless("remote")),
}
NAMES = {
    "project_directory_missing": "forge-gone",
    "not_a_repository": "forge-none",
    "repository_elsewhere": "forge-elsewhere",
    "git_failed": "forge-failed",
    "invalid_forge_settings": "forge-settings",
    "no_forge": "forge-nobody",
    "remote_not_allowed": "forge-outside",
    "git_missing": "forge-missing",
    "git_output_too_large": "forge-endless",
}


def _shared() -> list[Case]:
    found = []
    for name, given in ALL.items():
        found.append(Case(name, {"project_id": "nobody", **given}, "project_not_found"))
        for code, before in STATES.items():
            if code in DECLARED[name]:
                found.append(Case(name, {"project_id": NAMES[code], **given}, code, before, after=git_again))
    return found


# -- at GitHub


def hub(name: str, way: str, code: str = "", **more: Any) -> Case:
    """Asked of a project at GitHub; `way` says how GitHub answers."""

    def make(daemon: RunningDaemon) -> None:
        remote = f"{github.url(daemon)}/octo/{way}.git"
        project(f"hub-{way}", r.by_hand("remote", "add", "origin", remote))(daemon)

    given = {"project_id": f"hub-{way}", **ALL[name], **more}
    if code == "rate_limited":
        return Case(name, given, code, make, frozenset({"detail", "retry_at"}), taken_again)
    return Case(name, given, code, make)


def taken_again(daemon: RunningDaemon) -> None:
    """GitHub takes requests once more."""
    make = hub("git.pr.list", "fine").before
    make(daemon)
    eventually_sync(lambda: daemon.ask("GET", "/projects/hub-fine/git/pr").status == 200)


# The others are tried again for seconds before they are given up.
AT_ONCE = ("git.actions.logs", "git.actions.cancel", "git.actions.rerun", "git.pr.review.create")


def _at_github() -> list[Case]:
    found = []
    for name in ALL:
        found.append(hub(name, "running" if name == "git.actions.cancel" else "fine"))
        for way, code in (("unauthorized", "forge_unauthorized"), ("refuses", "forge_refused")):
            found.append(hub(name, way, code))
        found.append(hub(name, "limited", "rate_limited"))
        if "forge_repository_not_found" in DECLARED[name]:
            way = {"git.pr.list": "hidden", "git.actions": "hidden", "git.actions.cancel": "locked"}.get(
                name, "readonly"
            )
            found.append(hub(name, way, "forge_repository_not_found"))
        if "pull_not_found" in DECLARED[name]:
            found.append(hub(name, "fine", "pull_not_found", number=9))
        if "check_not_found" in DECLARED[name]:
            found.append(hub(name, "fine", "check_not_found", run="9"))
    running = ("git.pr.merge", "git.pr.close", "git.pr.review.create")
    return [
        *found,
        *(hub(name, "closed", "pull_not_open") for name in running),
        *(
            hub(name, "stuck" if name == "git.actions.cancel" else "broken", "forge_unreachable")
            for name in AT_ONCE
        ),
        hub("git.pr.create", "moved", "forge_refused"),
        hub("git.pr.create", "exists", "pull_exists"),
        hub("git.pr.list", "fine", "bad_cursor", cursor="zzz"),
        hub("git.actions", "fine", "bad_cursor", cursor="zzz"),
        hub("git.actions.logs", "fine", "bad_cursor", cursor="zzz"),
        hub("git.actions.logs", "gone", "check_log_gone"),
        hub("git.actions.cancel", "fine", "check_not_running"),
        hub("git.actions.rerun", "running", "check_running"),
        hub("git.pr.merge", "fine", "head_moved", sha="0" * 40),
        hub("git.pr.merge", "dirty", "merge_conflict"),
        hub("git.pr.merge", "running", "checks_pending"),
        hub("git.pr.merge", "failing", "checks_failed"),
        hub("git.pr.merge", "unreviewed", "review_required"),
        hub("git.pr.review.create", "own", "own_review", verdict="approve"),
        hub("git.pr.review.create", "fine", "invalid_request", body=""),
        hub("git.pr.list", "fine", "invalid_request", limit=0),
    ]


# -- at the local forge

PR, FORGED = "/projects/forged/git/pr", {"project_id": "forged"}


def forged(
    *, pull: bool = False, then: Callable[[Path], object] = empty, git_is: Before = git_again
) -> Before:
    """The project `forged` and its bare repository anew; `then` is done to that, and git is made as it is to be."""

    def before(daemon: RunningDaemon) -> None:
        git_again(daemon)
        model, projects = daemon.home.parent / "forge-model", daemon.home / "projects"
        if not model.exists():
            _make(model)
        assert daemon.ask("DELETE", "/projects/forged").status in (200, 204, 404)
        for each in model.iterdir():
            shutil.rmtree(projects / each.name, ignore_errors=True)
            shutil.copytree(each, projects / each.name, symlinks=True)
        assert daemon.ask("POST", "/projects", {"path": str(projects / "forged")}).status == 201
        if pull:
            assert daemon.ask("POST", PR, ALL["git.pr.create"]).status == 201
        then(projects / "forged-remote.git")
        git_is(daemon)

    return before


def _make(model: Path) -> None:
    folder, bare = model / "forged", model / "forged-remote.git"
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    r.commit(folder, {"a.txt": "one\n"})
    git(folder, "switch", "-q", "-c", "feature")
    r.commit(folder, {"b.txt": "two\n"})
    git(folder, "switch", "-q", "main")
    git(model, "clone", "-q", "--bare", str(folder), str(bare))
    git(folder, "remote", "add", "origin", "../forged-remote.git")


def _two_branches(folder: Path) -> None:
    r.commit(folder, {"a.txt": "one\n"})
    git(folder, "branch", "feature")


FULL = git_says("merge-tree", SAID["disk_full"])
NO_ROOM = project("forge-full", _two_branches, then=git_says("init", SAID["disk_full"]))
MERGED = r.by_hand("update-ref", "refs/heads/main", "feature")
CREATE = {**FORGED, **ALL["git.pr.create"]}
MERGE = {**FORGED, "number": 1}
LOCAL = [
    Case("git.pr.create", CREATE, before=forged()),
    Case("git.pr.create", {**CREATE, "head": "nowhere"}, "branch_not_on_forge", forged()),
    Case("git.pr.create", {**CREATE, "head": "main"}, "nothing_to_merge", forged()),
    Case("git.pr.create", {**FORGED, "title": "x"}, "detached_head", forged(then=lambda f: _detach(f))),
    Case("git.pr.list", FORGED, before=forged(pull=True)),
    Case("git.pr.get", MERGE, before=forged(pull=True)),
    Case("git.pr.review.create", {**MERGE, **ALL["git.pr.review.create"]}, "", forged(pull=True), FRESH),
    Case("git.pr.close", MERGE, before=forged(pull=True)),
    Case("git.pr.merge", MERGE, "nothing_to_merge", forged(pull=True, then=MERGED)),
    Case(
        "git.pr.merge",
        MERGE,
        "branch_not_on_forge",
        forged(pull=True, then=r.by_hand("branch", "-D", "feature")),
    ),
    Case("git.pr.merge", MERGE, before=forged(pull=True), anew=FRESH),
    *(
        Case(name, MERGE, "disk_full", forged(pull=True, git_is=FULL), after=git_again)
        for name in ("git.pr.merge", "git.pr.get")
    ),
    Case(
        "git.pr.create",
        {"project_id": "forge-full", **ALL["git.pr.create"]},
        "disk_full",
        NO_ROOM,
        after=git_again,
    ),
]


def _detach(bare: Path) -> None:
    git(bare.with_name("forged"), "checkout", "-q", "--detach")


CASES = [*_shared(), *_at_github(), *LOCAL]
ELSEWHERE: dict[str, str] = {}
_LONG = "tests/att/git/forge/test_github.py: it is tried again for seconds first"
ERRORS_ELSEWHERE = {
    "forge_token_missing": "tests/att/git/forge/test_github.py: the token is read once in a daemon's life",
    "conflict": "tests/att/git/forge/test_local.py: branches move at that moment",
    **{
        f"{name}: disk_full": "tests/att/store/test_store.py: it needs a disk that is full"
        for name in (
            "git.actions",
            "git.actions.cancel",
            "git.actions.rerun",
            "git.pr.list",
            "git.pr.close",
            "git.pr.review.create",
        )
    },
    **{f"{name}: forge_unreachable": _LONG for name in ALL if name not in AT_ONCE},
}
