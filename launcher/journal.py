"""`launcher.ndjson`: what the launcher did, one JSON object a line, only ever appended to.

Entries carry a number that grows by one (`n`), so that a reader (the daemon takes them into its event
store) can tell which ones it has; it counts on over restarts. A last line that was cut off by a power cut
is closed, and skipped by readers. When the disk refuses a line it is kept in memory (a bounded number of
them) and written before the next one.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Iterator

from launcher.disk import Disk, write_all
from launcher.protocol import notation
from launcher.protocol.words import Any, BinaryIO

TAIL = 1 << 16
LIMIT_IN_MEMORY = 256
FORGETS = frozenset({"missing"})
VERDICTS = {"good": "good", "failed": "failed"}


def stamp(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds."""
    whole, part = divmod(int(seconds * 1_000_000), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{part:06d}Z"


class Journal:
    """Open for appending. Never raises for a full or broken disk: says so once through `complaint`."""

    def __init__(self, path: str, disk: Disk) -> None:
        self.path, self._disk = path, disk
        self.complaint = ""
        self._waiting: deque[bytes] = deque(maxlen=LIMIT_IN_MEMORY)
        self._fd: int | None = None
        self._number = 0
        self._broken_tail = False
        self._last_number()

    def add(self, event: str, **fields: object) -> dict[str, Any]:
        """Write an entry; the entry itself comes back."""
        self._number += 1
        entry = {"n": self._number, "at": stamp(time.time()), "event": event} | {
            key: value for key, value in fields.items() if value not in (None, "")
        }
        self._waiting.append(notation.dumps(entry).encode() + b"\n")
        self._flush()
        return entry

    def state(self) -> dict[str, Any]:
        """What is not in the file, for `resume` after this process has executed other code."""
        return {"number": self._number, "waiting": [line.hex() for line in self._waiting]}

    def resume(self, state: dict[str, Any]) -> None:
        self._number = max(self._number, state["number"])
        self._waiting.extend(bytes.fromhex(line) for line in state["waiting"])

    def close(self) -> None:
        self._flush()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _flush(self) -> None:
        try:
            if self._fd is None:
                self._fd = self._disk.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK)
            while self._waiting:
                start = b"\n" if self._broken_tail else b""
                self._broken_tail = True  # until the whole line is written
                write_all(self._disk, self._fd, start + self._waiting[0])
                self._broken_tail = False
                self._waiting.popleft()
            self._disk.fsync(self._fd)
            self.complaint = ""
        except OSError as error:
            self.complaint = f"the journal cannot be written: {error}"
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _last_number(self) -> None:
        try:
            with _opened(self.path) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL))
                tail = file.read(TAIL)
        except OSError:
            return
        self._broken_tail = bool(tail) and not tail.endswith(b"\n")
        self._number = max((_number(line) for line in tail.split(b"\n")), default=0)


def _opened(path: str) -> BinaryIO:
    """For reading; OSError when it is no file (a device may have no end)."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "no file", path)
    return file


def _number(line: bytes) -> int:
    entry = _entry(line)
    number = entry.get("n") if entry else None
    return number if isinstance(number, int) else 0


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = notation.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def entries(path: str) -> Iterator[dict[str, Any]]:
    """Every readable entry, oldest first; nothing when the journal cannot be read."""
    try:
        with _opened(path) as file:
            while line := file.readline(TAIL):
                if entry := _entry(line):
                    yield entry
    except OSError:
        return


def remembered(path: str) -> dict[str, str]:
    """The last verdict on each release: "good" or "failed"."""
    verdicts: dict[str, str] = {}
    for entry in entries(path):
        release, event = entry.get("release"), entry.get("event")
        if not isinstance(release, str) or not isinstance(event, str):
            continue
        if event in VERDICTS:
            verdicts.pop(release, None)
            verdicts[release] = VERDICTS[event]
        elif event in FORGETS or (event == "staged" and verdicts.get(release) != "good"):
            verdicts.pop(release, None)
    return verdicts
