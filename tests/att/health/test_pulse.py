"""What health tells of the store while it hangs, fails and comes back."""

from __future__ import annotations

import asyncio

from att.health.pulse import Pulse
from tests.att.rooms import on_a_loop


class Shop:
    """A store that answers when its door is open; it cannot be hurried, cancelled neither."""

    def __init__(self) -> None:
        self.door = asyncio.Event()
        self.asked = 0
        self.answered = asyncio.Event()
        self.fault: Exception | None = None

    async def look(self) -> None:
        self.asked += 1
        while not self.door.is_set():
            try:
                await self.door.wait()
            except asyncio.CancelledError:
                continue
        self.answered.set()
        if self.fault is not None:
            raise self.fault


@on_a_loop
async def test_a_store_that_hangs_is_told_in_time_and_asked_once_until_it_answers() -> None:
    shop = Shop()
    pulse = Pulse(shop.look, patience=0.01)
    assert pulse.trouble() is None
    for _ in range(3):
        await pulse.look()
        assert pulse.trouble() == "it did not answer within 0.01 s"
    assert shop.asked == 1
    shop.door.set()
    await shop.answered.wait()
    await pulse.look()
    assert pulse.trouble() is None


@on_a_loop
async def test_what_the_store_says_is_wrong_is_told_until_it_is_well() -> None:
    shop = Shop()
    shop.door.set()
    pulse = Pulse(shop.look, patience=5)
    shop.fault = OSError("the disk is gone")
    await pulse.look()
    assert pulse.trouble() == "the disk is gone"
    shop.fault = None
    await pulse.look()
    assert pulse.trouble() is None
