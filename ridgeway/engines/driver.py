"""`python -m ridgeway.engines.driver`: the process that is connected to a Ray cluster.

It owns the controller, which owns the workers: when it ends, however, Ray ends them all. The engine
(cluster.py) starts it again. Exit code 2: the cluster, or what was asked for, does not fit.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from typing import Any

from ray.exceptions import AuthenticationError, GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ridgeway.engines.actors import Controller, Status, ray
from ridgeway.engines.guard import require_guarded
from ridgeway.engines.scaling import Limits, Share
from ridgeway.errors import InvalidInput, Unreachable
from ridgeway.host.supervisor import die_with_parent
from ridgeway.logs import log_to_standard_error
from ridgeway.settings import Settings

STEP_SECONDS = 1.0
START_SECONDS = 120.0  # in which the controller has started and answered, under load too
ANSWER_SECONDS = 20.0  # in which it answers from then on; it waits for the database no longer
STOP_SECONDS = 30.0
BAD_INPUT = 2

log = logging.getLogger("ridgeway.engine")


def main() -> int:
    """Drive the fleet until SIGTERM; 1 where the cluster is lost, or not there yet."""
    arguments = _parser().parse_args()
    log_to_standard_error(Settings())
    die_with_parent(STOP_SECONDS)
    try:
        _connect(arguments.address)
    except (InvalidInput, AuthenticationError) as error:
        print(f"ridgeway worker: {error}", file=sys.stderr)
        return BAD_INPUT
    except (RayError, Unreachable, ConnectionError, RuntimeError) as error:
        log.warning("the Ray cluster at %s is not there: %s", arguments.address, error)
        return 1
    try:
        _drive(arguments)
    except GetTimeoutError:
        log.warning("the controller on the Ray cluster does not answer")
        return 1
    except RayError as error:  # a new head knows nothing of us, and says that we may not come in
        log.warning("the Ray cluster at %s is lost: %s", arguments.address, error)
        return 1
    return 0


def _connect(address: str) -> None:
    """Connect to the cluster; InvalidInput where it asks nobody for a token."""
    context: Any = ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    require_guarded(context.address_info["gcs_address"])


def _drive(arguments: argparse.Namespace) -> None:
    """Have the controller go step by step, and tell what changes, until SIGTERM."""
    stopping = threading.Event()

    def stop(number: int, frame: Any) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    controller = _start_controller(arguments)
    told: Status | None = None
    while not stopping.wait(STEP_SECONDS):
        patience = START_SECONDS if told is None else ANSWER_SECONDS
        status: Status = ray.get(controller.step.remote(), timeout=patience)
        if status != told:
            _tell(status, told)
            told = status
    ray.get(controller.stop.remote(), timeout=STOP_SECONDS)
    ray.shutdown()


def _start_controller(arguments: argparse.Namespace) -> Any:
    """Start the controller on this node, as it does not outlive this process anyway."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = ray.remote(Controller).options(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here
    )
    share = Share(arguments.cpus, arguments.gpu)
    limits = Limits(arguments.min, None if arguments.max == "auto" else int(arguments.max))
    return options.remote(share, limits, arguments.idle_seconds)


def _tell(status: Status, before: Status | None) -> None:
    counts = (status.wanted, status.there, status.waiting)
    if before is None or counts != (before.wanted, before.there, before.waiting):
        log.info("workers: %d wanted, %d there, %d waiting for room or starting", *counts)
    for trouble in status.troubles:
        if before is None or trouble not in before.troubles:
            log.warning("%s", trouble)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ridgeway.engines.driver", description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--min", type=int, required=True)
    parser.add_argument("--max", required=True, help="a number, or auto")
    parser.add_argument("--cpus", type=float, required=True)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--idle-seconds", type=float, required=True)
    return parser


if __name__ == "__main__":
    # Not sys.exit: what Ray leaves to be done at the exit waits for a head that may be gone.
    code = main()
    sys.stderr.flush()
    os._exit(code)
