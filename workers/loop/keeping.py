"""The checkpoints of one lease: written while its members train, deleted when it has ended."""

from __future__ import annotations

from collections.abc import Sequence

from ridgeway.jobs import holding
from ridgeway.jobs.leases import Lease
from workers.loop.checkpoints import Checkpoints, discard
from workers.loop.tools import Tools
from workers.population.configuration import Configuration
from workers.population.watch import Watch


class Keeping:
    """A lease's checkpoints. may_have_one: an earlier holder's counts."""

    def __init__(self, lease: Lease, tools: Tools) -> None:
        self.may_have_one = lease.checkpoint is not None
        self._lease, self._tools = lease, tools
        self._earlier = lease.checkpoint
        self._last: Checkpoints | None = None

    def watch(self, members: Sequence[Configuration], *, one_of_many: bool = False) -> Watch:
        """Return a watch that keeps checkpoints of these members, and looks after the lease.

        one_of_many: the lease has several trainings; an earlier holder's checkpoint waits for its
        own one.
        """
        if self._last is not None:
            self._earlier = self._last.earlier
        self._last = checkpoints = Checkpoints(
            store=self._tools.store,
            lease=self._lease,
            members=members,
            every_seconds=self._tools.settings.checkpoint_seconds,
            record=self._record,
            stopping=self._tools.stopping,
            earlier=self._earlier,
            one_of_many=one_of_many,
            outlast=lambda call: self._tools.outage.outlast(call, self._lease),
        )
        return Watch(
            on_epoch=self._tools.check,
            on_share=self._tools.on_share,
            keep=checkpoints.keep,
            start=checkpoints.start,
        )

    def forget(self) -> None:
        """Delete the lease's checkpoint if the lease has ended; its next holder's stays."""

        if not self.may_have_one:
            return
        address = self._tools.persistence.attempt(
            lambda transaction: holding.forget_checkpoint(transaction, self._lease)
        )
        if address is not None:
            discard(self._tools.store, address)

    def _record(self, address: str) -> str | None:
        self.may_have_one = True
        return self._tools.persistence.write(
            lambda transaction: holding.record_checkpoint(transaction, self._lease, address)
        )
