"""Processes to run: the service, and a number of workers on a device."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

from ridgeway.errors import InvalidInput, RidgewayError
from ridgeway.host.supervisor import Role

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
Count: TypeAlias = int | Literal["auto"]

# While one samples and writes, the other trains: on a GPU that small nets leave half idle, a search
# takes two thirds of the time (docs/log.md).
PER_GPU = 2

# On the CPU one thread a process and one process a core is fastest (docs/architecture.md).
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    )
}


def service_role(host: str, port: int) -> Role:
    """Return the service's role: the front door."""
    return Role("service", _module("service", "--host", host, "--port", str(port)))


def worker_roles(device: Device, count: Count, *, yielding: bool = False) -> list[Role]:
    """Return workers' roles; "auto" is two for each GPU, or one for each core where there is none.

    yielding: they leave the cores to whatever else wants them, as a service beside them does.
    Raises InvalidInput for `cuda` where torch finds no GPU.
    """
    gpus = 0 if device == "cpu" else count_gpus()
    if device == "cuda" and not gpus:
        raise InvalidInput.of("--device", device, "torch finds no CUDA device here")
    number = count if count != "auto" else gpus * PER_GPU or count_cores()
    more = ("--yielding",) if yielding else ()
    return [_worker(i, f"cuda:{i % gpus}" if gpus else "cpu", more) for i in range(number)]


def _worker(index: int, device: str, more: Sequence[str]) -> Role:
    argv = _module("workers", "--device", device, *more)
    return Role(f"worker {index + 1}", argv, worker=True, environment=ONE_THREAD)


def _module(name: str, *arguments: str) -> Sequence[str]:
    # -P: a folder named `service` in the current directory is not ours.
    return (sys.executable, "-P", "-m", name, "--supervised", *arguments)


def count_cores() -> int:
    """Count the cores that this process may use; a container's CPU limit counts."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such control group, or no limit ("max")
        return cores
    return max(1, min(cores, limit))


def count_gpus() -> int:
    """Count the CUDA devices that torch can use; torch is only asked where a driver is."""
    driver = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("dxg")]
    if not driver:
        return 0
    command = "import torch; print(torch.cuda.device_count())"
    asked = subprocess.run(
        [sys.executable, "-P", "-c", command], capture_output=True, text=True, check=False
    )
    return int(asked.stdout) if asked.returncode == 0 else 0


def require_installed(*extras: Literal["database", "ray", "service", "workers"]) -> None:
    """Raise RidgewayError unless the packages of these extras are there; imports none of them."""
    witness = {"database": "sqlalchemy", "ray": "ray", "service": "uvicorn", "workers": "torch"}
    missing = [extra for extra in extras if find_spec(witness[extra]) is None]
    if missing:
        raise RidgewayError(
            f"What {' and '.join(missing)} need is not installed: "
            f"pip install 'ridgeway[{','.join(missing)}]'"
        )
