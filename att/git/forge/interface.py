"""What a forge is, whoever keeps it: the one interface behind the operations.

Both implementations answer the same models and raise the same problems for the same mistakes; one suite of tests holds both
to that. `call` is who asks: a forge tells the events of what it changed.
"""

from __future__ import annotations

from typing import Protocol

from att.catalogue import Call
from att.git.forge.models import (
    AddReview,
    Check,
    CheckLog,
    CheckPage,
    CreatePull,
    ListChecks,
    ListPulls,
    Merged,
    MergePull,
    PullPage,
    PullRequest,
    ReadCheckLog,
    Review,
    ReviewList,
)


class Forge(Protocol):
    """Pull requests, reviews and checks of one project."""

    async def create(self, ask: CreatePull, call: Call) -> PullRequest: ...

    async def pulls(self, ask: ListPulls) -> PullPage: ...

    async def pull(self, number: int) -> PullRequest: ...

    async def merge(self, ask: MergePull, call: Call) -> Merged: ...

    async def close(self, number: int, call: Call) -> PullRequest: ...

    async def reviews(self, number: int) -> ReviewList: ...

    async def review(self, ask: AddReview, call: Call) -> Review: ...

    async def checks(self, ask: ListChecks) -> CheckPage: ...

    async def log(self, ask: ReadCheckLog) -> CheckLog: ...

    async def cancel(self, run: str, call: Call) -> Check: ...

    async def rerun(self, run: str, call: Call) -> Check: ...
