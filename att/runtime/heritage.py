"""What one life of the daemon keeps of an app for the next, in the row of its run: the socket, the deaths before, when it is due.

With it the next life goes on as if nothing had happened. Pure but for the clock: times are kept as those of the wall, since no
other outlives a process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from att.store.times import stamp
from supervisor.keeper import Run
from supervisor.runner import Exited, Living, Memory, Waiting
from supervisor.spec import AppSpec

Row = Mapping[str, Any]


def details(
    spec: AppSpec,
    memory: Memory,
    next_start_in: float | None = None,
    *,
    role: str = "current",
    artefact_id: str | None = None,
) -> str:
    """What is kept in the row of a run for the next life."""
    now = time.time()
    more = {"role": role, "artefact_id": artefact_id, "gate": spec.gate}
    more["tmp"] = spec.private_tmp.name if spec.private_tmp else None
    kept: dict[str, Any] = {
        "socket": spec.socket,
        "changes": memory.changes,
        "in_a_row": memory.in_a_row,
        **more,
    }
    kept["deaths"] = [round(now - ago, 3) for ago in memory.deaths]
    if next_start_in is not None:
        kept["next_start_at"] = stamp(datetime.now(UTC) + timedelta(seconds=next_start_in))
    return json.dumps(kept)


def is_app(row: Row) -> bool:
    """Whether the run was the project's app; one that was only tried, or was on its way out, is not to go on."""
    return bool(row["details"].get("role", "current") == "current")


def slot(row: Row, folder: Path) -> Path:
    """The private TMPDIR of the run; `folder` holds those of all projects."""
    return folder / str(row["project_id"]) / str(row["details"].get("tmp") or "tmp")


def living(run: Run, row: Row) -> Living:
    """A run that the keeper knows, as its row tells of it."""
    return Living(
        run_id=run.run_id,
        pid=run.pid,
        started_at=datetime.fromisoformat(row["started_at"]),
        ready_at=datetime.fromisoformat(row["ready_at"]) if row["ready_at"] else None,
        restarts=row["restarts"],
        memory=_memory(row["details"]),
        cursor=row["log_cursor"] or "newest",
    )


def waiting(row: Row | None) -> Waiting | None:
    """The wait for the next start after this run; None when it was not to be started again, or has not ended."""
    if row is None or row["state"] != "stopped" or "next_start_at" not in row["details"]:
        return None
    due = datetime.fromisoformat(row["details"]["next_start_at"])
    ended = Exited(
        run_id=row["run_id"],
        at=datetime.fromisoformat(row["exited_at"]),
        exit_code=row["exit_code"],
        exit_signal=row["exit_signal"],
        asked=False,
        failure=True,
        forced=False,
        leftovers=0,
        reason=row["reason"] or "",
        next_start_in=0.0,
    )
    return Waiting(ended, row["restarts"], _memory(row["details"]), due)


def _memory(kept: Mapping[str, Any]) -> Memory:
    now = time.time()
    deaths = tuple(max(0.0, now - at) for at in kept.get("deaths", ()))
    return Memory(deaths, kept.get("in_a_row", 0), kept.get("changes", 0))
