"""What is asked of the code room."""

from __future__ import annotations

from typing import Any

from att.code.operations import room
from tests.contract.parity import repositories as r
from tests.contract.parity.case import Case
from tests.contract.parity.git_room import SAID, STATES
from tests.contract.parity.programs import git_again, git_is_endless, git_says
from tests.contract.parity.repositories import HELD, held

WRITE = {**HELD, "content": "new\n"}
MOVE = {**HELD, "target": "moved.txt"}
SEARCH = {**HELD, "query": "one"}
FRESH = frozenset({"modified_at", "seconds"})
ALL: dict[str, tuple[dict[str, Any], str]] = {  # what it is asked, and the field that is a path
    "code.list": (HELD, "path"),
    "code.read": (HELD, "path"),
    "code.write": (WRITE, "path"),
    "code.delete": (HELD, "path"),
    "code.move": (MOVE, "source"),
    "code.search": (SEARCH, "path"),
    "code.diff": (HELD, "path"),
}
DECLARED = {operation.name: {kind.code for kind in operation.errors} for operation in room.operations}


def _at(name: str, path: str) -> dict[str, Any]:
    given, field = ALL[name]
    return {**given, field: [path] if name == "code.diff" else path}


def _shared() -> list[Case]:
    """Errors that many declare, each met by all who do."""
    found = []
    for name in ALL:
        in_folder = "a.txt/b/c"
        found += [
            Case(name, {**_at(name, "a.txt"), "project_id": "nobody"}, "project_not_found"),
            Case(name, _at(name, "a.txt"), "project_directory_missing", held(r.gone)),
            Case(name, _at(name, "../a.txt"), "path_outside_project", held()),
            Case(name, _at(name, "a" * 300), "invalid_path", held()),
            Case(name, _at(name, in_folder), "file_not_found", held()),
        ]
        if "git_internals" in DECLARED[name]:
            found.append(Case(name, _at(name, ".git/config"), "git_internals", held()))
        if "file_changed" in DECLARED[name]:
            found.append(Case(name, {**_at(name, "a.txt"), "if_match": "old"}, "file_changed", held()))
        if "not_a_file" in DECLARED[name]:
            known = {} if name == "code.read" else {"if_match": "old"}
            found.append(Case(name, {**_at(name, "folder"), **known}, "not_a_file", held()))
    return found


def _diff() -> list[Case]:
    """What the repository and git can end in."""
    states = {code: before for code, before in STATES.items() if code != "project_directory_missing"}
    found = [
        Case("code.diff", HELD, code, before, after=r.not_inner if code == "repository_above" else git_again)
        for code, before in states.items()
    ]
    refuses = held(then=git_says("diff", SAID["remote_not_allowed"]))
    endless = held(then=git_is_endless("diff"))
    return [
        *found,
        Case("code.diff", HELD, "remote_not_allowed", refuses, after=git_again),
        Case("code.diff", HELD, "git_output_too_large", endless, after=git_again),
        Case("code.diff", {**HELD, "base": "nowhere"}, "unknown_revision", held()),
        Case("code.diff", {**HELD, "base": "HEAD"}, "no_commits", held(r.empty)),
        Case("code.diff", {**HELD, "head": "HEAD", "untracked": True}, "invalid_request", held()),
    ]


CASES = [
    *_shared(),
    *_diff(),
    Case("code.list", {**HELD, "glob": ["*.txt"], "limit": 2}, before=held(), anew=FRESH),
    Case("code.list", {**HELD, "cursor": "!!"}, "bad_cursor", held()),
    Case("code.read", {**HELD, "path": "a.txt"}, before=held(), anew=FRESH),
    Case("code.read", {**HELD, "path": "data.bin"}, before=held(), anew=FRESH),
    Case("code.read", {**HELD, "path": "data.bin", "encoding": "utf-8"}, "not_text", held()),
    Case("code.write", {**WRITE, "path": "new/ü 1.txt"}, before=held(), anew=FRESH),
    Case("code.write", {**WRITE, "path": "a.txt", "if_none_match": "*"}, "file_changed", held()),
    Case("code.write", {**WRITE, "path": "a.txt", "encoding": "base64"}, "invalid_request", held()),
    Case("code.delete", {**HELD, "path": "folder", "recursive": True}, before=held()),
    Case("code.delete", {**HELD, "path": "folder"}, "folder_not_empty", held()),
    Case("code.move", {**MOVE, "source": "a.txt"}, before=held()),
    Case("code.move", {**HELD, "source": "a.txt", "target": "b.txt"}, "path_taken", held()),
    Case("code.search", {**SEARCH, "context": 1}, before=held(), anew=FRESH),
    Case("code.search", {**HELD, "query": "(", "regex": True}, "invalid_pattern", held()),
    Case("code.diff", HELD, before=held(r.write({"a.txt": "one, here\n"}))),
]

ELSEWHERE: dict[str, str] = {}
ERRORS_ELSEWHERE = {
    "file_unavailable": "tests/att/code/test_refusals.py: nothing is refused to the superuser",
    "searcher_missing": "tests/att/code/test_search.py: ripgrep is a part of the installation",
    "too_many_searches": "tests/att/code/test_refusals.py: a search waits for ten seconds first",
    **{
        f"code.{verb}: disk_full": "tests/att/code/test_refusals.py: it needs a disk that is full"
        for verb in ("write", "delete", "move")
    },
}
