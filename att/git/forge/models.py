"""What a pull request, a review and a check are, whichever forge keeps them, and what is asked about them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from att.store.times import Timestamp

Branch = Annotated[
    str,
    Field(max_length=250, pattern=r"^[^\x00-\x20\x7f~^:?*\[\\]+$", description="Name of a branch."),
]
_TEXT = r"^[^\x00]*$"
Sha = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$", description="Full id of a commit.")]
Number = Annotated[int, Field(ge=1, le=2**31 - 1, description="Number of the pull request.")]
CheckId = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="Id of a check, as `git.actions` tells it.")
]


class PullState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class Mergeable(StrEnum):
    """Whether the pull request can be merged now, and if not, why."""

    CLEAN = "clean"
    CONFLICT = "conflict"
    BLOCKED = "blocked"  # checks or reviews that are required
    UNKNOWN = "unknown"  # the forge has not found out yet, or it is not open


class Status(StrEnum):
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    NEUTRAL = "neutral"
    SKIPPED = "skipped"
    ACTION_REQUIRED = "action_required"
    STALE = "stale"


class Verdict(StrEnum):
    APPROVE = "approve"
    REQUEST_CHANGES = "request_changes"
    COMMENT = "comment"


class ReviewState(StrEnum):
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    COMMENTED = "commented"
    DISMISSED = "dismissed"
    PENDING = "pending"


class Method(StrEnum):
    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class PullRequest(_Value):
    """A branch that is to go into another one. `conflicts` names files where that is known."""

    number: int
    title: str
    body: str
    state: PullState
    author: str
    head: str
    head_sha: str
    base: str
    base_sha: str
    mergeable: Mergeable = Mergeable.UNKNOWN
    conflicts: list[str] = []
    merge_sha: str | None = None
    url: str | None = None
    created_at: Timestamp
    updated_at: Timestamp


class PullPage(_Value):
    pulls: list[PullRequest]
    next_cursor: str | None = None


class Merged(_Value):
    """`sha`: the commit that the base branch is at now."""

    number: int
    method: Method
    sha: str
    base: str
    branch_deleted: bool = False


class Review(_Value):
    id: str
    number: int
    author: str
    state: ReviewState
    body: str
    commit_sha: str | None
    submitted_at: Timestamp | None


class ReviewList(_Value):
    reviews: list[Review]


class Check(_Value):
    """One run of continuous integration on one commit. `reason` says in words why it ended so, where that helps."""

    id: str
    name: str
    head_sha: str
    branch: str | None = None
    status: Status
    conclusion: Conclusion | None = None
    attempt: int = 1
    command: list[str] | None = None
    exit_code: int | None = None
    reason: str | None = None
    url: str | None = None
    created_at: Timestamp | None
    started_at: Timestamp | None
    ended_at: Timestamp | None


class CheckPage(_Value):
    """`state` sums up the checks of the commit that was asked for; of all that are listed when none was."""

    checks: list[Check]
    state: Literal["none", "pending", "success", "failure"]
    next_cursor: str | None = None


class Lost(_Value):
    """What was not kept."""

    bytes: int


class CheckLog(_Value):
    """A piece of a check's output. `complete`: the check has ended and this is the last piece."""

    run: str
    status: Status
    conclusion: Conclusion | None
    text: str
    next_cursor: str
    complete: bool
    lost: Lost | None = None


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: str


class CreatePull(_Ask):
    title: str = Field(max_length=256, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")
    body: str = Field(default="", max_length=65_536, pattern=_TEXT)
    head: Branch | None = Field(default=None, description="The branch with the work; default: the current.")
    base: Branch | None = Field(
        default=None, description="The branch it goes into; default: the forge's own default branch."
    )


class ListPulls(_Ask):
    state: Literal["open", "closed", "merged", "all"] = "open"
    head: Branch | None = Field(default=None, description="Only those of this branch.")
    base: Branch | None = Field(default=None, description="Only those into this branch.")
    cursor: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=30, ge=1, le=100)


class OnePull(_Ask):
    number: Number


class MergePull(_Ask):
    number: Number
    method: Method = Field(default=Method.MERGE, description="How the commits come into the base branch.")
    sha: Sha | None = Field(default=None, description="Merge only if the branch is still at this commit.")
    title: str | None = Field(
        default=None,
        max_length=256,
        pattern=r"^[^\x00]*[^\s\x00][^\x00]*$",
        description="First line of the commit that is made.",
    )
    message: str | None = Field(
        default=None, max_length=65_536, pattern=_TEXT, description="The rest of its message."
    )
    delete_branch: bool = Field(default=False, description="Delete the merged branch on the forge.")


class AddReview(_Ask):
    number: Number
    verdict: Verdict = Field(description="Approving needs another token than the one that made it.")
    body: str = Field(default="", max_length=65_536, pattern=_TEXT, description="Needed unless it approves.")


class ListChecks(_Ask):
    sha: Sha | None = Field(default=None, description="Only those of this commit.")
    branch: Branch | None = Field(default=None, description="Only those of this branch.")
    number: Number | None = Field(
        default=None, description="Only those of this pull request's newest commit."
    )
    cursor: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=30, ge=1, le=100)


class OneCheck(_Ask):
    run: CheckId


class ReadCheckLog(_Ask):
    run: CheckId
    cursor: str | None = Field(default=None, max_length=64, description="From an earlier answer.")
    limit: int = Field(default=65_536, ge=1024, le=1 << 20, description="Bytes of one answer, at the most.")
    wait: float = Field(default=0, ge=0, le=60, description="Seconds to wait for output that is new.")
