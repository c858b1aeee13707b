"""What is asked of the git room, as far as it is git on this machine; pull requests and checks have their own."""

from __future__ import annotations

from typing import Any

from att.rooms import catalogue
from tests.contract.parity import repositories as r
from tests.contract.parity.case import Case
from tests.contract.parity.programs import git_again, git_is_endless, git_says, no_git
from tests.contract.parity.repositories import HELD, held

COMMIT = {**HELD, "message": "a change"}
CHANGED = r.write({"a.txt": "one, here\n"})
NEW = frozenset({"id", "commit", "authored_at", "committed_at", "after", "new"})
LONG = "é" + "a" * 4095
OUT = "../elsewhere"

# Each operation with what it is asked, and the command of git by which it does it.
ALL: dict[str, tuple[dict[str, Any], str]] = {
    "git.status": (HELD, "status"),
    "git.log": (HELD, "log"),
    "git.diff": (HELD, "diff"),
    "git.branches": (HELD, "for-each-ref"),
    "git.init": (HELD, "init"),
    "git.add": ({**HELD, "all": True}, "add"),
    "git.commit": ({**COMMIT, "allow_empty": True}, "commit"),
    "git.branch": ({**HELD, "name": "new"}, "branch"),
    "git.remote.list": (HELD, "remote"),
    "git.remote.add": ({**HELD, "name": "new", "remote_url": "../held-remote.git"}, "remote"),
    "git.remote.remove": ({**HELD, "name": "origin"}, "remote"),
    "git.fetch": (HELD, "fetch"),
    "git.pull": (HELD, "fetch"),
    "git.push": (HELD, "push"),
}
DECLARED = {o.name: {kind.code for kind in o.errors} for o in catalogue() if o.name in ALL}

# The state of the repository that every operation refuses alike; `git init` has states of its own.
STATES = {
    "project_directory_missing": held(r.gone),
    "not_a_repository": held(r.no_repository),
    "repository_above": held(r.inner),
    "repository_elsewhere": held(r.elsewhere),
    "repository_damaged": held(r.damaged),
    "git_failed": held(r.too_far),
    "git_missing": held(then=no_git),
}
INIT_STATES = {
    "project_directory_missing": held(r.gone),
    "not_a_repository": held(r.bare),
    "repository_elsewhere": held(r.elsewhere),
    "repository_damaged": held(r.no_repository, r.write({".git/config": "[[[\n"})),
    "git_failed": held(r.no_repository, r.write({".git/config/in-the-way": ""})),
    "git_missing": held(r.no_repository, then=no_git),
}
# What git says when the machine or another program is in the way.
SAID = {
    "disk_full": "fatal: write error: No space left on device",
    "repository_locked": "fatal: Unable to create '.git/index.lock': File exists.",
    "remote_not_allowed": "fatal: transport 'file' not allowed",
    "git_unauthorized": "fatal: Authentication failed for 'https://example.org/a.git/'",
    "remote_broke_off": "fatal: the remote end hung up unexpectedly",
}
RETRIED = {("git.fetch", "remote_broke_off"), ("git.pull", "remote_broke_off")}


def _shared() -> list[Case]:
    found = []
    for name, (given, command) in ALL.items():
        found.append(Case(name, {**given, "project_id": "nobody"}, "project_not_found"))
        states = INIT_STATES if name == "git.init" else STATES
        clean = held(r.no_repository) if name == "git.init" else held()
        for code, before in states.items():
            if code in DECLARED[name]:
                after = r.not_inner if code == "repository_above" else git_again
                found.append(Case(name, given, code, before, after=after))
        for code, said in SAID.items():
            if code in DECLARED[name] and (name, code) not in RETRIED:
                before = _then(clean, git_says(command, said))
                found.append(Case(name, given, code, before, after=git_again))
        if "git_output_too_large" in DECLARED[name]:
            before = _then(clean, git_is_endless(command))
            found.append(Case(name, given, "git_output_too_large", before, after=git_again))
    return found


def _then(first: r.Before, second: r.Before) -> r.Before:
    def both(daemon: Any) -> None:
        first(daemon)
        second(daemon)

    return both


def _paths() -> list[Case]:
    found = []
    asked = {"git.log": HELD, "git.diff": HELD, "git.add": HELD, "git.commit": COMMIT}
    for name, given in asked.items():
        many = name != "git.log"
        for path, code in ((OUT, "path_outside_project"), (LONG, "invalid_path")):
            found.append(Case(name, {**given, "path": [path] if many else path}, code, held()))
    for name in ("git.add", "git.commit"):
        for path, code in (("nowhere", "path_not_in_repository"), ("ignored", "path_ignored")):
            found.append(Case(name, {**asked[name], "path": [path]}, code, held()))
    return found


READING = [
    Case("git.status", HELD, before=held(CHANGED, r.write({"new.txt": ""}))),
    Case("git.status", {**HELD, "limit": 0}, "invalid_request"),
    Case("git.log", {**HELD, "limit": 1}, before=held()),
    Case("git.log", {**HELD, "cursor": "zzz"}, "bad_cursor", held()),
    Case("git.log", {**HELD, "revision": "nowhere"}, "unknown_revision", held()),
    Case("git.log", {**HELD, "revision": "HEAD"}, "no_commits", held(r.empty)),
    Case("git.diff", HELD, before=held(CHANGED)),
    Case("git.diff", {**HELD, "from_revision": "nowhere"}, "unknown_revision", held()),
    Case("git.diff", {**HELD, "from_revision": "HEAD"}, "no_commits", held(r.empty)),
    Case("git.diff", {**HELD, "to_revision": "HEAD"}, "invalid_request", held()),
    Case("git.branches", HELD, before=held()),
]
COMMITTING = [
    Case("git.init", HELD, before=held(r.no_repository)),
    Case("git.init", HELD, "repository_exists", held()),
    Case("git.init", {**HELD, "branch": "a..b"}, "invalid_branch_name", held(r.no_repository)),
    Case("git.add", {**HELD, "path": ["a.txt"]}, before=held(CHANGED)),
    Case("git.add", HELD, "invalid_request", held()),
    Case("git.add", {**HELD, "all": True}, "repository_locked", held(CHANGED, r.locked("index"))),
    Case("git.commit", {**COMMIT, "all": True}, before=held(CHANGED), anew=NEW),
    Case("git.commit", {**COMMIT, "all": True}, "repository_locked", held(CHANGED, r.locked("index"))),
    Case("git.commit", {**HELD, "message": " "}, "empty_message", held()),
    Case("git.commit", {**HELD, "message": "\uffff"}, "invalid_message", held()),
    Case("git.commit", {**COMMIT, "author": "Ada"}, "invalid_author", held()),
    Case("git.commit", COMMIT, "nothing_staged", held()),
    Case("git.commit", {**COMMIT, "amend": True}, "nothing_to_amend", held(r.empty)),
    Case("git.commit", COMMIT, "merge_conflict", held(r.in_conflict)),
    Case("git.commit", {**COMMIT, "path": ["a.txt"]}, "operation_in_progress", held(CHANGED, r.merging)),
]
BRANCH = [
    Case("git.branch", {**HELD, "name": "new", "switch": True}, before=held()),
    Case("git.branch", {**HELD, "name": "side", "action": "delete"}, before=held()),
    Case("git.branch", {**HELD, "name": "new"}, "repository_locked", held(r.locked("refs/heads/new"))),
    Case("git.branch", {**HELD, "name": "a..b"}, "invalid_branch_name", held()),
    Case("git.branch", {**HELD, "name": "side"}, "branch_exists", held()),
    Case("git.branch", {**HELD, "name": "nowhere", "action": "switch"}, "branch_missing", held()),
    Case("git.branch", {**HELD, "name": "main", "action": "delete"}, "branch_checked_out", held()),
    Case("git.branch", {**HELD, "name": "ahead", "action": "delete"}, "branch_not_merged", held()),
    Case("git.branch", {**HELD, "name": "new", "start": "nowhere"}, "unknown_revision", held()),
    Case("git.branch", {**HELD, "name": "new"}, "no_commits", held(r.empty)),
    Case("git.branch", {**HELD, "name": "ahead", "action": "switch"}, "dirty_tree", held(CHANGED)),
    Case(
        "git.branch", {**HELD, "name": "side", "action": "switch"}, "operation_in_progress", held(r.merging)
    ),
]
AWAY = r.by_hand("remote", "set-url", "origin", "/etc")
LOST = r.by_hand("remote", "set-url", "origin", "../nowhere.git")
NEW_REMOTE, ORIGIN = ALL["git.remote.add"][0], ALL["git.remote.remove"][0]
REMOTES = [
    Case("git.remote.list", HELD, before=held()),
    Case("git.remote.add", NEW_REMOTE, before=held()),
    Case("git.remote.add", {**NEW_REMOTE, "remote_url": "ext::sh"}, "remote_not_allowed", held()),
    Case("git.remote.add", {**NEW_REMOTE, "remote_url": "https://a:b@c/d"}, "remote_not_allowed", held()),
    Case(
        "git.remote.add", {**NEW_REMOTE, "remote_url": "../nowhere.git"}, "remote_repository_missing", held()
    ),
    Case("git.remote.add", {**NEW_REMOTE, "name": "a..b"}, "invalid_remote_name", held()),
    Case("git.remote.add", {**NEW_REMOTE, "name": "origin"}, "remote_exists", held()),
    Case("git.remote.add", NEW_REMOTE, "repository_locked", held(r.locked("config"))),
    Case("git.remote.remove", ORIGIN, before=held()),
    Case("git.remote.remove", {**HELD, "name": "a/nowhere"}, "no_remote", held()),
]
EXCHANGE = [
    Case("git.fetch", HELD, before=held(r.behind), anew=NEW),
    Case("git.fetch", HELD, "repository_locked", held(r.behind, r.locked("refs/remotes/origin/main"))),
    *(
        Case(f"git.{word}", {**HELD, "remote": "nowhere"}, "no_remote", held())
        for word in ("fetch", "pull", "push")
    ),
    *(Case(f"git.{word}", HELD, "remote_not_allowed", held(AWAY)) for word in ("fetch", "pull", "push")),
    *(
        Case(f"git.{word}", HELD, "remote_repository_missing", held(LOST))
        for word in ("fetch", "pull", "push")
    ),
    *(Case(f"git.{word}", HELD, "detached_head", held(r.detached)) for word in ("pull", "push")),
    *(
        Case(f"git.{word}", {**HELD, "branch": "a..b"}, "invalid_branch_name", held())
        for word in ("pull", "push")
    ),
    Case("git.pull", HELD, before=held(r.behind), anew=NEW),
    Case("git.pull", {**HELD, "branch": "nowhere"}, "remote_branch_missing", held()),
    Case("git.pull", HELD, "no_upstream", held(r.by_hand("branch", "--unset-upstream"))),
    Case("git.pull", HELD, "diverged", held(r.behind, r.made(b_txt="two, here\n"))),
    Case("git.pull", HELD, "dirty_tree", held(r.behind, CHANGED)),
    Case(
        "git.pull", {**HELD, "mode": "merge"}, "merge_conflict", held(r.behind, r.made(a_txt="one, here\n"))
    ),
    Case("git.pull", HELD, "operation_in_progress", held(r.merging)),
    Case("git.pull", {**HELD, "branch": "odd"}, "unknown_revision", held(r.odd_branch)),
    Case("git.push", HELD, before=held(r.made(b_txt="two, here\n")), anew=NEW),
    Case("git.push", {**HELD, "branch": "nowhere"}, "branch_missing", held()),
    Case("git.push", HELD, "no_commits", held(r.empty)),
    Case("git.push", HELD, "non_fast_forward", held(r.behind, r.made(b_txt="two, here\n"))),
    Case(
        "git.push", {**HELD, "force_with_lease": True}, "lease_lost", held(r.behind, r.made(b_txt="two\n\n"))
    ),
    Case(
        "git.push",
        HELD,
        "push_rejected",
        held(
            r.by_hand("--git-dir=../held-remote.git", "config", "receive.hideRefs", "refs/heads/main"),
            r.made(b_txt="two, here\n"),
        ),
    ),
]
CASES = [*_shared(), *_paths(), *READING, *COMMITTING, *BRANCH, *REMOTES, *EXCHANGE]

ELSEWHERE: dict[str, str] = {}
_RETRIED = "tests/att/git/test_network.py: it is tried again for a while first"
ERRORS_ELSEWHERE = {
    "git_timed_out": "tests/att/git/test_attacks.py: it takes a minute at the doors",
    "remote_unreachable": _RETRIED,
    "git.fetch: remote_broke_off": _RETRIED,
    "git.pull: remote_broke_off": _RETRIED,
}
