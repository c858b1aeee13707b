"""GitHub's JSON to our models, and its refusals to our problems. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from att.event.redact import hide
from att.git.forge.errors import (
    BranchNotOnForge,
    ForgeNotFound,
    ForgeRefused,
    ForgeUnauthorized,
    NothingToMerge,
    OwnReview,
    PullExists,
)
from att.git.forge.models import (
    Check,
    Conclusion,
    Mergeable,
    PullRequest,
    PullState,
    Review,
    ReviewState,
    Status,
)
from att.problems import Problem
from att.store.times import stamp

_MERGEABLE = {
    "clean": Mergeable.CLEAN,
    "has_hooks": Mergeable.CLEAN,
    "unstable": Mergeable.CLEAN,  # checks that are not required
    "dirty": Mergeable.CONFLICT,
    "blocked": Mergeable.BLOCKED,
    "behind": Mergeable.BLOCKED,
    "draft": Mergeable.BLOCKED,
}
ACTIONS = "github-actions"
"""The app whose check runs are the jobs of runs that are told already."""


def moment(text: str | None) -> str | None:
    """GitHub's time as ours."""
    return stamp(datetime.fromisoformat(text.replace("Z", "+00:00"))) if text else None


def epoch(seconds: float) -> str:
    """Seconds of the epoch as our time."""
    return stamp(datetime.fromtimestamp(seconds, UTC))


def pull(found: Mapping[str, Any]) -> PullRequest:
    state = PullState.OPEN if found["state"] == "open" else PullState.CLOSED
    if found.get("merged") or found.get("merged_at"):
        state = PullState.MERGED
    able = Mergeable.UNKNOWN
    if state is PullState.OPEN:
        able = _MERGEABLE.get(found.get("mergeable_state") or "", able)
    return PullRequest(
        number=found["number"],
        title=found["title"],
        body=found.get("body") or "",
        state=state,
        author=(found.get("user") or {}).get("login", "ghost"),
        head=found["head"]["ref"],
        head_sha=found["head"]["sha"],
        base=found["base"]["ref"],
        base_sha=found["base"]["sha"],
        mergeable=able,
        merge_sha=found.get("merge_commit_sha") if state is PullState.MERGED else None,
        url=found.get("html_url"),
        created_at=moment(found["created_at"]) or "",
        updated_at=moment(found["updated_at"]) or "",
    )


def review(found: Mapping[str, Any], number: int) -> Review:
    return Review(
        id=str(found["id"]),
        number=number,
        author=(found.get("user") or {}).get("login", "ghost"),
        state=ReviewState(found["state"].lower()),
        body=found.get("body") or "",
        commit_sha=found.get("commit_id"),
        submitted_at=moment(found.get("submitted_at")),
    )


def _status(text: str | None) -> Status:
    return Status(text) if text in ("in_progress", "completed") else Status.QUEUED  # waiting, pending …


def _conclusion(text: str | None) -> Conclusion | None:
    """A word that is not known is no success."""
    if text is None:
        return None
    return Conclusion(text) if text in set(Conclusion) else Conclusion.FAILURE


def run(found: Mapping[str, Any]) -> Check:
    """A run of GitHub Actions."""
    status = _status(found.get("status"))
    return Check(
        id=str(found["id"]),
        name=found.get("name") or "actions",
        head_sha=found["head_sha"],
        branch=found.get("head_branch"),
        status=status,
        conclusion=_conclusion(found.get("conclusion")),
        attempt=found.get("run_attempt") or 1,
        url=found.get("html_url"),
        created_at=moment(found.get("created_at")),
        started_at=moment(found.get("run_started_at")),
        ended_at=moment(found.get("updated_at")) if status is Status.COMPLETED else None,
    )


def check_run(found: Mapping[str, Any]) -> Check:
    """A check of another app than Actions."""
    return Check(
        id=f"c{found['id']}",
        name=found["name"],
        head_sha=found["head_sha"],
        status=_status(found.get("status")),
        conclusion=_conclusion(found.get("conclusion")),
        reason=(found.get("output") or {}).get("title"),
        url=found.get("html_url"),
        created_at=moment(found.get("started_at")),
        started_at=moment(found.get("started_at")),
        ended_at=moment(found.get("completed_at")),
    )


def is_of_actions(found: Mapping[str, Any]) -> bool:
    return (found.get("app") or {}).get("slug") == ACTIONS


def refusal(status: int, message: str, errors: Any, what: str) -> Problem:
    """What GitHub's refusal means. `what`: what was asked about, for the sentence."""
    said = hide(message)[:400]
    if status == 401:
        return ForgeUnauthorized(f"{what}: GitHub does not know this token ({said}).")
    if status == 403:
        return ForgeUnauthorized(f"{what}: {said}.")
    if status == 404:
        return ForgeNotFound(f"{what}: there is none that this token may see.")
    return _invalid(said, errors, what) or ForgeRefused(f"{what}: GitHub answered {status} ({said}).")


def _invalid(message: str, errors: Any, what: str) -> Problem | None:
    """The reasons that GitHub gives in the `errors` of a 422, or in its message."""
    listed: Sequence[Any] = errors if isinstance(errors, list) else [errors]
    texts = [message, *(str(e.get("message", "")) if isinstance(e, Mapping) else str(e) for e in listed if e)]
    said = hide("; ".join(text for text in texts if text))
    lower = said.lower()
    if "already exists" in lower:
        return PullExists(f"{what}: {said}.")
    if "no commits between" in lower or "no history in common" in lower:
        return NothingToMerge(f"{what}: {said}.")
    if "your own pull request" in lower:
        return OwnReview(f"{what}: {said}.")
    for each in listed:
        if (
            isinstance(each, Mapping)
            and each.get("field") in ("head", "base")
            and each.get("code") == "invalid"
        ):
            return BranchNotOnForge(
                f"{what}: GitHub does not have the {each['field']} branch.", branch=each["field"]
            )
    return None
