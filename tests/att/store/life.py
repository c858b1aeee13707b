"""A program that is killed: appends events for ever, and says each id once it is acknowledged.

`python -m tests.att.store.life DATABASE`
"""

from __future__ import annotations

import asyncio
import sys

from att.event.log import EventLog
from att.store.store import open_store


async def main(where: str) -> None:
    events = EventLog(await open_store(where))

    async def one(caller: int) -> None:
        count = 0
        while True:
            count += 1
            event = await events.append("test.run", payload={"caller": caller, "count": count})
            sys.stdout.write(f"{event.id} {caller} {count}\n")
            sys.stdout.flush()

    await asyncio.gather(*(one(caller) for caller in range(8)))


asyncio.run(main(sys.argv[1]))
