"""Plots and reports, drawn in a process of their own, one at a time.

    drawn = await pictures.draw(Order(evidence, names, theme, "svg"))
    page = await pictures.report(material)

To render keeps Python's lock for some 0.1 s, and the libraries take 150 MB: in the service every
other request would wait. The process starts with the first plot and ends with the service: it
reads orders from its standard input until that ends.
"""

from __future__ import annotations

import asyncio
import logging
import pickle  # nosec B403 # between us and our own child, over its pipes
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from anyio import CapacityLimiter

from ridgeway.plots.evidence import Evidence
from ridgeway.plots.plots import PLOTS
from ridgeway.plots.render import Format, draw
from ridgeway.plots.theme import Theme
from ridgeway.report.material import Material
from ridgeway.report.page import render_report

SECONDS = 60.0  # for all plots of an order; each takes less than one, and the libraries two
READERS = 2  # jobs whose evidence is read at once; others wait
MOST_WAITING = 50  # orders, each with its evidence in memory; some two minutes' work
LENGTH = 8  # bytes that say how long a message is

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """Plots to be drawn, by name. format: of the files; None where their titles are enough."""

    evidence: Evidence
    names: Sequence[str]
    theme: Theme
    format: Format | None


@dataclass(frozen=True)
class Drawn:
    """A plot that the job has something of: its title, the finding, and its file."""

    name: str
    title: str
    file: bytes


@dataclass(frozen=True)
class Failed:
    """What the process met instead of what was ordered."""

    reason: str


class Pictures:
    """Draws in a process, which is started again if it died or took too long."""

    def __init__(self) -> None:
        self.readers = CapacityLimiter(READERS)
        self._turn = asyncio.Lock()
        self._waiting = 0  # orders, the one that is drawn among them
        self._process: asyncio.subprocess.Process | None = None

    async def draw(self, order: Order) -> list[Drawn]:
        """Draw those of the plots that the job has something of.

        ServiceUnavailable where that takes too long, the process dies, or too many wait.
        """
        return await self._told(order)

    async def report(self, material: Material) -> str:
        """Make the page of a job's answer; ServiceUnavailable as `draw`."""
        return await self._told(material)

    async def _told(self, order: Order | Material) -> Any:
        from service.problems import ServiceUnavailable  # FastAPI: not for the child

        if self._waiting >= MOST_WAITING:
            raise ServiceUnavailable("Too many plots and reports are being drawn; try again.")
        self._waiting += 1
        try:
            return await self._in_turn(order)
        finally:
            self._waiting -= 1

    async def _in_turn(self, order: Order | Material) -> Any:
        from service.problems import ServiceUnavailable

        async with self._turn:
            try:
                async with asyncio.timeout(SECONDS):
                    told = await self._answer(pickle.dumps(order))
            except (TimeoutError, OSError, EOFError) as error:
                log.warning("Nothing was drawn: %r", error)
                await self._end()
                raise ServiceUnavailable("It could not be drawn; try again.") from None
            except BaseException:  # whoever asked has gone: the next must not read this answer
                await self._end()
                raise
        if isinstance(told, Failed):
            raise RuntimeError(f"An order can't be drawn: {told.reason}")
        return told

    async def stop(self) -> None:
        """End the process, if there is one."""
        async with self._turn:
            await self._end()

    async def _answer(self, order: bytes) -> list[Drawn] | str | Failed:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "service.pictures"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(len(order).to_bytes(LENGTH, "big") + order)
        await self._process.stdin.drain()
        length = int.from_bytes(await self._process.stdout.readexactly(LENGTH), "big")
        return pickle.loads(await self._process.stdout.readexactly(length))  # our own child's  # nosec B301

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


# --- the process ------------------------------------------------------------------------------


def main(orders: BinaryIO, answers: BinaryIO) -> None:
    """Draw what is ordered until the orders end."""
    # Optuna loads scikit-learn with its importances, of which ours needs none: 150 MB, 3 s.
    sys.modules.setdefault("sklearn", None)  # pyright: ignore[reportArgumentType] - None: is not there
    while len(head := orders.read(LENGTH)) == LENGTH:
        order: Order | Material = pickle.loads(orders.read(int.from_bytes(head, "big")))  # nosec B301
        try:
            is_page = isinstance(order, Material)
            answer = pickle.dumps(render_report(order) if is_page else _drawn(order))
        except Exception as error:
            logging.exception("An order can't be drawn")
            answer = pickle.dumps(Failed(f"{type(error).__name__}: {error}"))
        answers.write(len(answer).to_bytes(LENGTH, "big") + answer)
        answers.flush()


def _drawn(order: Order) -> list[Drawn]:
    found: list[Drawn] = []
    for name in order.names:
        picture = draw(PLOTS[name], order.evidence, order.theme)
        if picture is not None:
            file = b"" if order.format is None else picture.render(order.format)
            found.append(Drawn(name, picture.title, file))
    return found


if __name__ == "__main__":
    # By its own name: what is unpickled must be of the same classes on both sides.
    from service.pictures import main as own_main

    own_main(sys.stdin.buffer, sys.stdout.buffer)
