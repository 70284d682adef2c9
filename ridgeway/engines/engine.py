"""What an engine is: it keeps workers running somewhere, until it is told to stop.

Whatever the engine, a worker is `ridgeway worker` with one process, and the database is all that
workers and engines share. Pods of Kubernetes and arrays of Slurm need no engine: they run it.

    engine: Engine = RayEngine(address="auto", share=Share(cpus=2), limits=Limits(1, 16))
    sys.exit(engine.run())
"""

from __future__ import annotations

from typing import Protocol


class Engine(Protocol):
    """Starts workers, again when they end, and stops them."""

    def run(self) -> int:
        """Keep workers running until a signal; return the exit code. Runs in the main thread."""
        ...
