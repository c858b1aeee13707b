"""Commits, page by page. A page's cursor keeps the commit that the first page began at, so new commits shift nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from att.confine_walk import parts_of
from att.git.models import Commit, CommitPage, ReadLog
from att.git.repository import Repository
from att.problems import BadCursor
from att.store.times import stamp

_FIELDS = ("%H", "%P", "%an", "%ae", "%at", "%cn", "%ce", "%ct", "%s", "%B")
FORMAT = "--format=" + "%x00".join(_FIELDS)
_CURSOR = re.compile(r"(?P<tip>[0-9a-f]{40,64})\.(?P<base>[0-9a-f]{40,64})?\.(?P<skip>\d{1,9})")


def parse(answer: bytes) -> list[Commit]:
    """The commits of `git log -z` in our format: no message, name or address holds a NUL."""
    words = answer.decode("utf-8", "replace").split("\0")[:-1]
    size = len(_FIELDS)
    return [_commit(*words[at : at + size]) for at in range(0, len(words) - size + 1, size)]


def moment(seconds: str) -> str:
    """Git's seconds as a time; a time that no calendar has is the nearest that it has."""
    last = datetime.max.replace(tzinfo=UTC).timestamp() - 1
    number = int(seconds) if re.fullmatch(r"-?\d+", seconds) else 0
    return stamp(datetime.fromtimestamp(max(-62_135_596_800, min(number, int(last))), UTC))


def _commit(
    commit: str, parents: str, an: str, ae: str, at: str, cn: str, ce: str, ct: str, subject: str, body: str
) -> Commit:
    return Commit(
        id=commit,
        parents=parents.split(),
        author_name=an,
        author_email=ae,
        authored_at=moment(at),
        committer_name=cn,
        committer_email=ce,
        committed_at=moment(ct),
        subject=subject,
        message=body,
    )


async def one(repository: Repository, commit: str) -> Commit:
    """The commit of this id."""
    done = await repository.run("log", "-1", "-z", FORMAT, "--no-patch", "--end-of-options", commit, "--")
    return parse(done.out)[0]


async def log(repository: Repository, ask: ReadLog) -> CommitPage:
    """One page; an empty one when there is no commit yet."""
    if ask.path is not None:
        parts_of(ask.path)
    if ask.cursor is None:
        if ask.revision is None and await repository.head() is None:
            return CommitPage(commits=[], next_cursor=None)
        tip = await repository.commit_of(ask.revision or "HEAD")
        base, skip = await repository.commit_of(ask.base) if ask.base is not None else "", 0
    else:
        tip, base, skip = await _position(repository, ask.cursor)
    done = await repository.run(
        *("log", "-z", FORMAT, "--no-patch", f"--max-count={ask.limit + 1}", f"--skip={skip}"),
        *("--end-of-options", tip, *([f"^{base}"] if base else []), "--", *([ask.path] if ask.path else [])),
    )
    found = parse(done.out)
    more = len(found) > ask.limit
    return CommitPage(
        commits=found[: ask.limit], next_cursor=f"{tip}.{base}.{skip + ask.limit}" if more else None
    )


async def _position(repository: Repository, cursor: str) -> tuple[str, str, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise BadCursor("This is no cursor of the log.")
    tip, base = found["tip"], found["base"] or ""
    for commit in filter(None, (tip, base)):
        if await repository.ask("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}") is None:
            raise BadCursor("The commit that the cursor names is gone.")
    return tip, base, int(found["skip"])
