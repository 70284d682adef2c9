"""What happens to jobs, told as it happens: one look at a job a beat serves every stream of it.

    stream = await streams.open(job_id, caller, last_id)  # NotFound, outages: before it is sent
    async for piece in stream: ...

A stream tells the present: what a slow or a returning reader has missed is not repeated one by one,
but sent as it stands now. So nothing is queued for anybody. Each event but the last of a batch goes
without an id; an id says what of the job its reader has seen, and any process can go on from there.
A stream ends with the key that opened it: each beat asks whether that still holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

from sqlalchemy.exc import SQLAlchemyError

from ridgeway.errors import NotFound
from ridgeway.keys.caller import LOCAL, Caller
from service.happenings import Happenings, Seen, deleted, happenings_of
from service.looks import Look, Looks
from service.problems import ServiceUnavailable

BEAT_SECONDS = 0.5  # between two looks at a job
PING_SECONDS = 10.0  # of silence, after which a stream shows that it is alive
MOST_STREAMS = 400  # of the service; so many connections are left for other calls
MOST_OF_A_JOB = 200
MOST_OF_A_KEY = 50

HELLO = b"retry: 2000\n\n"  # milliseconds until a browser comes back
PING = b": still here\n\n"
AWAY = b": the database does not answer; it is asked again\n\n"

log = logging.getLogger(__name__)


class Streams:
    """The streams that are open, and a watch for each job that they tell of."""

    def __init__(self, looks: Looks, holds: Callable[[Caller], Awaitable[bool]]) -> None:
        self._looks = looks
        self._holds = holds
        self._watches: dict[str, _Watch] = {}
        self._ending = False

    async def open(
        self, job_id: str, caller: Caller = LOCAL, last_id: str | None = None
    ) -> Stream | None:
        """Open a stream of a job; None where its reader has seen it to its end.

        NotFound where there is no job; ServiceUnavailable where too many streams are open.
        """
        now = happenings_of((await self._looks.job(job_id)).body)
        seen = Seen.of(last_id)
        if now.ended and seen.to_the_end and now.seen == seen:
            return None
        self._require_room(job_id, caller)
        watch = self._watches.get(job_id)
        if watch is None:
            watch = self._watches[job_id] = _Watch(job_id)
            watch.task = asyncio.create_task(self._look_on(watch))
        watch.tell(now)
        stream = Stream(self, watch, seen, caller)
        watch.streams.add(stream)
        return stream

    def end(self) -> None:
        """End every stream, as the service is to stop; browsers come back to the next one."""
        self._ending = True
        for watch in self._watches.values():
            watch.wake()

    async def stop(self) -> None:
        """End what looks on for the streams."""
        self.end()
        tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def ending(self) -> bool:
        """Return True once the service is to stop."""
        return self._ending

    def leave(self, watch: _Watch, stream: Stream) -> None:
        """Count a stream off; the last one takes the watch with it."""
        watch.streams.remove(stream)
        if not watch.streams:
            assert watch.task is not None
            watch.task.cancel()
            if self._watches.get(watch.job_id) is watch:
                del self._watches[watch.job_id]

    def _open(self) -> Iterator[Stream]:
        for watch in self._watches.values():
            yield from watch.streams

    def _require_room(self, job_id: str, caller: Caller) -> None:
        if self._ending:
            raise ServiceUnavailable("The service is about to stop; try again.")
        if sum(1 for _ in self._open()) >= MOST_STREAMS:
            raise ServiceUnavailable(f"{MOST_STREAMS} event streams are open; look again later.")
        watch = self._watches.get(job_id)
        if watch is not None and len(watch.streams) >= MOST_OF_A_JOB:
            message = f"{MOST_OF_A_JOB} event streams of this job are open; look again later."
            raise ServiceUnavailable(message)
        own = sum(stream.caller.key == caller.key for stream in self._open())
        if caller.key is not None and own >= MOST_OF_A_KEY:
            message = f"{MOST_OF_A_KEY} event streams of this key are open; look again later."
            raise ServiceUnavailable(message)

    async def _look_on(self, watch: _Watch) -> None:
        """Look at the job a beat after the other until it has ended."""
        tag = ""
        while not watch.now.ended:
            await asyncio.sleep(BEAT_SECONDS)
            look = await self._look(watch)
            if look is None:  # nothing is told, whosever key still holds
                continue
            await self._end_revoked(watch)
            if look.tag != tag:
                tag = look.tag
                watch.tell(happenings_of(look.body))
        if self._watches.get(watch.job_id) is watch:
            del self._watches[watch.job_id]  # an extended job is watched anew

    async def _end_revoked(self, watch: _Watch) -> None:
        """End the streams of keys that hold no more."""
        try:
            for caller in {stream.caller for stream in watch.streams}:
                if not await self._holds(caller):
                    for stream in watch.streams:
                        stream.revoked |= stream.caller == caller
                    watch.wake()
        except SQLAlchemyError:  # the database went away since the look: the next beat asks again
            pass

    async def _look(self, watch: _Watch) -> Look | None:
        try:
            look = await self._looks.job(watch.job_id)
        except NotFound:
            watch.tell(deleted(watch.now))
            return None
        except Exception as error:  # the database is away: the next look may find it
            if not watch.away:
                log.warning("The events of job %s wait: %s", watch.job_id, error)
            watch.away = True
            return None
        watch.away = False
        return look


class _Watch:
    """What is known of a job, for the streams that tell of it."""

    now: Happenings

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.streams: set[Stream] = set()
        self.away = False
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def tell(self, now: Happenings) -> None:
        """Tell the streams what there is now."""
        self.now = now
        self.wake()

    def wake(self) -> None:
        """Have every stream look at what there is."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> bool:
        """Wait until there is something to look at; False when there was nothing for long."""
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Stream:
    """The events of a job in the form of the wire, from what its reader has seen on."""

    def __init__(self, streams: Streams, watch: _Watch, seen: Seen, caller: Caller) -> None:
        self.caller = caller
        self.revoked = False  # the key holds no more
        self._streams = streams
        self._watch = watch
        self._seen = seen

    def close(self) -> None:
        """Make room for another stream; called once, however it ended."""
        self._streams.leave(self._watch, self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        yield HELLO
        while not self._over():
            now = self._watch.now
            if told := now.since(self._seen):
                yield told
            self._seen = now.seen
            if now.ended:
                return
            if self._watch.now is now and not self._over() and not await self._watch.wait():
                yield AWAY if self._watch.away else PING

    def _over(self) -> bool:
        return self.revoked or self._streams.ending
