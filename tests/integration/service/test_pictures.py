"""The process that draws, as the service waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service import pictures
from service.pictures import Pictures
from service.problems import ServiceUnavailable


def test_no_more_orders_wait_than_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_WAITING", 3)
    order: Any = None

    async def play() -> None:
        free = asyncio.Event()

        async def answer(_: Pictures, order: bytes) -> list[Any]:
            await free.wait()
            return []

        monkeypatch.setattr(Pictures, "_answer", answer)
        own = Pictures()
        waiting = [asyncio.create_task(own.draw(order)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceUnavailable, match="try again"):
            await own.draw(order)
        free.set()
        assert await asyncio.gather(*waiting) == [[], [], []]
        assert await own.draw(order) == []  # there is room again

    asyncio.run(play())
