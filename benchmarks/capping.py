"""Measure whether TPE is harmed by learning from a sample of a long history's bad trials.

    python benchmarks/capping.py [--json] [--seeds 20] [--trials 2048]

The median best value over seeds, in populations of 64, as workers sample (a thousand of the bad
trials stand for all of them) and, as the baseline, from the whole history. `interval` is a 95%
bootstrap interval of the difference of the medians. The searches of a seed take turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from unittest import mock

import numpy as np
import quality
from objectives import objectives
from rows import Row, parser

from workers.sampling import tpe


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--trials", type=int, default=2048, help="of each search")
    arguments = options.parse_args()
    for name, objective in objectives().items():
        capped: list[Sequence[float]] = []
        whole: list[Sequence[float]] = []
        with mock.patch.object(quality, "TRIALS", arguments.trials):
            for seed in range(arguments.seeds):
                capped.append(quality.ours(objective, seed))
                with mock.patch.object(tpe, "NEAREST", arguments.trials):
                    whole.append(quality.ours(objective, seed))
        for trials in _checkpoints(arguments.trials):
            at = trials // quality.POPULATION - 1
            mine, theirs = (np.array([best[at] for best in found]) for found in (capped, whole))
            value, baseline = statistics.median(mine), statistics.median(theirs)
            details = {
                "objective": name,
                "trials": trials,
                "seeds": arguments.seeds,
                "interval": quality.interval(mine, theirs),
            }
            row = Row("capped", value, "loss", baseline, baseline / value, details)
            row.print(arguments.json)


def _checkpoints(trials: int) -> list[int]:
    """Return the sizes to look at: doubling from twice what is kept, in whole populations."""
    first = -(-2 * (tpe.NEAREST + tpe.SAMPLED) // quality.POPULATION) * quality.POPULATION
    return [first << power for power in range(10) if first << power <= trials]


if __name__ == "__main__":
    main()
