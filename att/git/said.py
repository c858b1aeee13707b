"""The typed problem behind what git said (in English). Pure: no I/O.

The first line of the table that fits counts. What fits none is `GitFailed` with git's own words.
"""

from __future__ import annotations

import re
from typing import Any

from att.git import errors
from att.git.errors import GitFailed
from att.problems import Problem
from att.store.errors import DiskFull

_TABLE: tuple[tuple[str, type[Problem]], ...] = (
    (r"no space left on device|disk quota exceeded", DiskFull),
    (r"unable to create '.*\.lock': file exists|another git process seems to be running", errors.IndexLocked),
    (r"cannot lock ref .*(?:unable to create|\.lock)|could not lock config file", errors.IndexLocked),
    (
        r"authentication failed|could not read (?:username|password)|terminal prompts disabled"
        r"|permission denied \((?:publickey|password|keyboard)|host key verification failed|returned error: 40[13]",
        errors.AuthFailed,
    ),
    (r"couldn't find remote ref|remote branch .* not found", errors.RemoteBranchMissing),
    (r"transport '.*' not allowed", errors.RemoteRefused),
    (
        r"could not resolve|failed to connect|couldn't connect|connection refused|connection timed out|no route to host"
        r"|network is unreachable|unable to look up|returned error: (?:429|502|503|504)",
        errors.RemoteUnreachable,
    ),
    (
        r"repository .*not found|does not appear to be a git repository|returned error: 404|repository '.*' does not exist",
        errors.RemoteMissing,
    ),
    (
        r"hung up unexpectedly|rpc failed|early eof|unexpected disconnect|empty reply|connection (?:was )?reset"
        r"|recv failure|send failure|transfer closed|invalid index-pack output|returned error: 5\d\d|operation too slow",
        errors.RemoteBrokeOff,
    ),
    (
        r"would be overwritten by|commit your changes or stash|unstaged changes|uncommitted changes",
        errors.DirtyTree,
    ),
    (
        r"partial commit during a|you have not concluded|not possible because you have unmerged",
        errors.MergeInProgress,
    ),
    (r"ignored by one of your \.gitignore", errors.PathIgnored),
    (
        r"did not match any file|beyond a symbolic link|is in submodule|outside repository",
        errors.PathNotInRepository,
    ),
    (r"a branch named .* already exists|refs/heads/\S* exists; cannot create", errors.BranchExists),
    (r"'refs/heads/.*' exists; cannot create", errors.BranchExists),
    (r"branch '.*' not found|no branch named", errors.BranchMissing),
    (
        r"bad config|object file .* is empty|is corrupt|bad object|index file (?:corrupt|smaller)|bad signature"
        r"|expected git repo version|unknown repository extension|not a git repository|unable to read (?:tree|sha1)|loose object",
        errors.RepositoryDamaged,
    ),
)


def problem_of(failed: GitFailed) -> Problem:
    """The problem that git told of."""
    for pattern, kind in _TABLE:
        if re.search(pattern, failed.err, re.IGNORECASE):
            return failed if kind is GitFailed else kind(failed.detail, **_more(kind, failed.err))
    return failed


def _more(kind: type[Problem], said: str) -> dict[str, Any]:
    """For a tree in the way, the files: git lists them behind a tab."""
    if kind is not errors.DirtyTree:
        return {}
    return {"files": [line[1:] for line in said.splitlines() if line.startswith("\t")][:100]}
