"""The results of runs as files: one for each run, the newest of each project, below a folder of ATT's own.

They may hold what tests print, so nobody else may read them. A file is whole or not there.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from att.store.errors import DiskFull
from att.testing.errors import NoTestResults
from att.testing.models import KeptResult

KEEP = 50


class Kept:
    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        self._folder = folder
        self._keep = keep

    def write(self, result: KeptResult) -> None:
        """Keep the result, and forget the oldest of its project."""
        folder = self._folder / result.project_id
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = folder / f"{result.run_id}.new"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(result.__pydantic_serializer__.to_json(result))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(folder / f"{result.run_id}.json")
        except OSError as fault:
            if fault.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull("The results of the tests could not be kept.") from fault
            raise
        for old in sorted(folder.glob("*.json"))[: -self._keep]:
            old.unlink(missing_ok=True)

    def read(self, project_id: str, run_id: str) -> KeptResult | None:
        """The result of a run; None when it was never kept or is forgotten. `run_id` is one that the store knows."""
        try:
            data = (self._folder / project_id / f"{run_id}.json").read_bytes()
        except FileNotFoundError:
            return None
        try:
            return KeptResult.model_validate_json(data)
        except ValueError:
            raise NoTestResults(f"The results of {run_id} cannot be read any more.") from None

    def forget(self, project_id: str) -> None:
        shutil.rmtree(self._folder / project_id, ignore_errors=True)
