"""The dead that came to the keeper as subreaper and that nobody waits for. Stdlib only."""

from __future__ import annotations

import os

from launcher.protocol import child, kin


class Strays:
    """Zombies that came to us as subreaper and that nobody knows. Our own children are reaped at once by whoever started
    them; so one that is still there at a later look, unchanged, is nobody's, and is taken off the table."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, str]] = set()

    def look(self, known: set[int]) -> bool:
        """Reaps those of the last look that are still there. True: look again later."""
        if not kin.PROC:
            return False
        me = os.getpid()
        dead = [
            one
            for pid in set(kin.children(me)) - known
            if (one := kin.read(pid)) and not one.alive and one.ppid == me
        ]
        for one in dead:
            if one.key in self._seen:
                child.reap(one.pid)
        self._seen = {one.key for one in dead} - self._seen
        return bool(self._seen)
