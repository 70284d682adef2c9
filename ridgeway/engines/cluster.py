"""The engine `ray`, as far as it needs neither Ray nor a database: checks, and a supervisor.

What is connected to the cluster is a process of its own (driver.py): Ray ends a process whose head
is gone for long, and the next one finds the head that came after it.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field

from ridgeway.engines.scaling import Limits, Share
from ridgeway.engines.surroundings import require_token_mode, shared_settings
from ridgeway.errors import InvalidInput
from ridgeway.host.pulse import GRACE_SECONDS, Patience
from ridgeway.host.roles import require_installed
from ridgeway.host.supervisor import Role, Supervisor

IDLE_SECONDS = 60.0
DRIVER = (sys.executable, "-P", "-m", "ridgeway.engines.driver")
STOP_SECONDS = 4 * GRACE_SECONDS  # in which all workers hand their leases back


@dataclass(frozen=True)
class RayEngine:
    """Workers as actors of a Ray cluster, which places them.

    address: `auto` for the cluster that this machine is a node of, or its head's HOST:PORT.
    """

    address: str = "auto"
    share: Share = field(default_factory=Share)
    limits: Limits = field(default_factory=Limits)
    idle_seconds: float = IDLE_SECONDS

    def run(self) -> int:
        """Keep them running until a signal; InvalidInput for what no cluster could do."""
        self._check()
        require_token_mode()
        require_installed("ray")
        shared_settings()
        roles = [Role("the Ray driver", self._command())]
        return Supervisor(roles, {}, patience=Patience(grace=STOP_SECONDS)).run()

    def _check(self) -> None:
        for option, number in (
            ("--cpus-per-worker", self.share.cpus),
            ("--idle-seconds", self.idle_seconds),
        ):
            if not math.isfinite(number):
                raise InvalidInput.of(option, number, "must be a finite number")
        if self.address.startswith("ray://"):
            message = (
                "is Ray Client's; run this command on a node of the cluster; accepted: auto or "
                "HOST:PORT of the head"
            )
            raise InvalidInput.of("--address", self.address, message)
        if self.address != "auto" and not re.fullmatch(r"\S+:\d{1,5}", self.address):
            message = "is no address of a head; accepted: auto or HOST:PORT"
            raise InvalidInput.of("--address", self.address, message)
        most = self.limits.most
        if most is not None and most < max(1, self.limits.fewest):
            message = f"must be at least 1 and no less than --min ({self.limits.fewest})"
            raise InvalidInput.of("--max", most, message)

    def _command(self) -> list[str]:
        most = "auto" if self.limits.most is None else str(self.limits.most)
        numbers = ["--min", str(self.limits.fewest), "--max", most, "--cpus", str(self.share.cpus)]
        numbers += ["--idle-seconds", str(self.idle_seconds)]
        gpu = ["--gpu"] if self.share.gpu else []
        return [*DRIVER, "--address", self.address, *numbers, *gpu]
