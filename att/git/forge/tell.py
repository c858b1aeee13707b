"""The events that a forge tells, whichever it is: their types and what stands in them. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from att.git.forge.models import Check, Merged, PullRequest, Review

Told = tuple[str, Mapping[str, Any]]


def created(pull: PullRequest) -> Told:
    return "git.pr.created", {**_named(pull), "title": pull.title, "head_sha": pull.head_sha}


def merged(done: Merged, pull: PullRequest) -> Told:
    return "git.pr.merged", {
        **_named(pull),
        "method": done.method.value,
        "head_sha": pull.head_sha,
        "merge_sha": done.sha,
        "branch_deleted": done.branch_deleted,
    }


def closed(pull: PullRequest) -> Told:
    return "git.pr.closed", _named(pull)


def reviewed(review: Review) -> Told:
    return "git.pr.reviewed", {"number": review.number, "state": review.state.value, "review_id": review.id}


def check_completed(check: Check) -> Told:
    return "git.check.completed", {
        "check_id": check.id,
        "name": check.name,
        "branch": check.branch,
        "head_sha": check.head_sha,
        "conclusion": check.conclusion.value if check.conclusion else None,
        "reason": check.reason,
        "attempt": check.attempt,
    }


def _named(pull: PullRequest) -> dict[str, Any]:
    return {"number": pull.number, "head": pull.head, "base": pull.base, "url": pull.url}
