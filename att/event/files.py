"""What `code.changed` tells, the same whoever changed the files: which, how, and never their content. Pure.

`change` is `created`, `modified`, `deleted` or `moved` for one file or folder, and `applied` or `undone` for those of a workflow.
`paths` are those that differ afterwards, for a move the new one and then the old one: the first 200 of `count`. `etag` and `size`
are those of a single file that is there now, `run_id` that of the workflow; each is null where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Change = Literal["created", "modified", "deleted", "moved", "applied", "undone"]
MOST = 200


def changed(
    change: Change,
    paths: Sequence[str],
    *,
    etag: str | None = None,
    size: int | None = None,
    run_id: str | None = None,
) -> dict[str, Any]:
    """The payload of the event."""
    return {
        "change": change,
        "paths": list(paths[:MOST]),
        "count": len(paths),
        "etag": etag,
        "size": size,
        "run_id": run_id,
    }
