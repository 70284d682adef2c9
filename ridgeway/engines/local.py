"""The engine `local`: processes for each GPU or core of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from ridgeway.host.pulse import Patience
from ridgeway.host.roles import Count, Device, worker_roles
from ridgeway.host.supervisor import Supervisor
from ridgeway.settings import Settings


@dataclass(frozen=True)
class LocalEngine:
    """Workers under a supervisor of this process."""

    device: Device = "auto"
    processes: Count = "auto"

    def run(self) -> int:
        """Keep them running until a signal; InvalidInput for `cuda` where there is no GPU."""
        roles = worker_roles(self.device, self.processes)
        return Supervisor(roles, {}, patience=Patience.of(Settings())).run()
