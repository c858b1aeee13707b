"""How much a run uses: processor, memory, processes, descriptors and threads of all its members, by psutil.

Sampled only when somebody asks. The share of a processor is that between two samples; for the first, over the life so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

FRESH = 0.25  # seconds within which the former answer is given again


@dataclass(frozen=True, slots=True)
class Figures:
    cpu_percent: float  # of one processor; may be above 100
    rss_bytes: int
    processes: int
    open_files: int
    threads: int


@dataclass(slots=True)
class _Known:
    process: psutil.Process
    seconds: float = 0.0  # of processor time at the last sample


@dataclass(frozen=True, slots=True)
class _Sample:
    process: psutil.Process
    seconds: float
    rss: int
    threads: int
    files: int


class Meter:
    """Measures one run; remembers its last sample."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._at: float | None = None
        self._last: Figures | None = None

    def sample(self, pids: Iterable[int], now: float, wall: float) -> Figures:
        """`now` monotonic, `wall` in seconds since the epoch (to tell a process's age)."""
        if self._last is not None and self._at is not None and now - self._at < FRESH:
            return self._last
        samples = {pid: sample for pid in pids if (sample := self._measure(pid))}
        used = sum(sample.seconds - self._before(pid) for pid, sample in samples.items())
        span = now - self._at if self._at is not None else self._age(samples, wall)
        self._known = {pid: _Known(sample.process, sample.seconds) for pid, sample in samples.items()}
        self._at = now
        self._last = Figures(
            cpu_percent=round(max(0.0, 100 * used / span), 1) if span > 0 else 0.0,
            rss_bytes=sum(sample.rss for sample in samples.values()),
            processes=len(samples),
            open_files=sum(sample.files for sample in samples.values()),
            threads=sum(sample.threads for sample in samples.values()),
        )
        return self._last

    def _before(self, pid: int) -> float:
        known = self._known.get(pid)
        return known.seconds if known else 0.0

    def _measure(self, pid: int) -> _Sample | None:
        """None when it has just gone."""
        known = self._known.get(pid)
        try:
            if known is None or not known.process.is_running():
                self._known.pop(pid, None)
                known = _Known(psutil.Process(pid))
            process = known.process
            with process.oneshot():
                times = process.cpu_times()
                return _Sample(
                    process,
                    times.user + times.system,
                    process.memory_info().rss,
                    process.num_threads(),
                    _count_files(process),
                )
        except psutil.Error:
            return None

    @staticmethod
    def _age(samples: dict[int, _Sample], wall: float) -> float:
        return max((wall - sample.process.create_time() for sample in samples.values()), default=0.0)


def _count_files(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.AccessDenied:
        return 0


def resident(pids: Iterable[int]) -> int:
    """The memory of these processes together: the one figure that a limit needs."""
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.Error:
            continue
    return total
