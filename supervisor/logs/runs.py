"""Names of runs: bytes carry a number, lines the name. An append-only text file, one `number name` a line, synced before use."""

from __future__ import annotations

import os
from pathlib import Path

from supervisor.logs.errors import LogUnusable


class Runs:
    """Numbers count up from 1; a name that comes again keeps its number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as fault:
            raise LogUnusable(f"{path}: {fault.strerror}") from fault
        for line in data.decode("utf-8", "replace").splitlines(keepends=True):
            number, _, name = line.rstrip("\n").partition(" ")
            if line.endswith("\n") and number.isdigit():
                self._names[int(number)] = name
                self._numbers[name] = int(number)
        self._torn = bool(data) and not data.endswith(b"\n")

    def number(self, name: str) -> int:
        """The number of a run, given now if it has none."""
        if name in self._numbers:
            return self._numbers[name]
        number = max(self._names, default=0) + 1
        entry = f"{number} {name}\n".encode()
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"\n" + entry if self._torn else entry)
            os.fsync(fd)
        finally:
            os.close(fd)
        self._torn = False
        self._names[number] = name
        self._numbers[name] = number
        return number

    def name(self, number: int) -> str:
        return self._names.get(number, str(number))
