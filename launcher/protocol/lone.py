"""A family whose keeper keeps nobody else: then also those are kin who came to it under no name at all.

Who forks twice, makes a session of its own and gives up its environment carries nothing that names its run. But it became the
child of the keeper; and when that process keeps one run only, marks everything else that it starts, and starts nothing unmarked
outside of its own session, then such a child can have come from nowhere else. Stdlib only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from launcher.protocol import child
from launcher.protocol.kin import DOUBT, Family, Kin, marks
from launcher.protocol.messages import BOOT_ID

BARE = DOUBT / 2  # who is just being executed has an environment by then
NAMES = tuple(os.fsencode(f"{name}=") for name in (child.RUN_MARK, child.KEEPER_MARK, BOOT_ID))


class LoneFamily(Family):
    """`alone` tells whether this is the only run that its keeper has now."""

    def __init__(self, run_id: str, first: int, alone: Callable[[], bool]) -> None:
        super().__init__(run_id, first)
        self._alone = alone
        self._bare: dict[tuple[int, str], float] = {}  # since when they were seen without any environment

    def _belongs(self, kin: Kin) -> bool | None:
        found = super()._belongs(kin)
        if found or not kin.alive or kin.session == os.getsid(0) or not self._alone():
            return found
        words = marks(kin.pid)
        if words is None or any(word.startswith(NAMES) for word in words):
            return False
        if words:
            return True
        now = time.monotonic()
        return True if now - self._bare.setdefault(kin.key, now) >= BARE else None
