"""Measure training steps of a population next to an ordinary torch loop's, on one thread.

    python benchmarks/populations.py [--json] [--repeats 5] [--device cpu|cuda]
        [--model linear|mlp|plugin|cnn|all] [--population P] [--rows 4096] [--width W]
        [--batch 128] [--penalty mixture|none|l1|l2|elastic_net] [--seconds 1] [--short]
    python benchmarks/populations.py --model mlp --curve population|rows|width
    python benchmarks/populations.py --check     ours and the loop learn the same
    python benchmarks/populations.py --search [--trials 100] [--workers auto]
        against Optuna + torch; minutes

`model_steps`: steps of one model a CPU second (on a GPU: a second), in this one process, batches,
AdamW and proximal step included, evaluation not. Baseline (benchmarks/loops.py): `penalised` does
the same work, `bare` has no penalty at all. The mixture is a quarter each of none, l1, l2 and
elastic_net, for both. Ours, both loops and the batched product of 64 x 128³ that gives the GEMM
floor (benchmarks/floors.py) take turns in every repeat; medians are printed.

Members train side by side, as many as the planner finds best for a long job unless --population
says otherwise, on the backend that it chooses: long jobs have a plug-in's step compiled, those of
--short don't. `compile_time` is the wall time of compiling the kernels, once a machine, and the
step; `time_share` comes from a run of its own, with timers inside; `settling_share` is the time
that members with a sparse penalty settle, of all members' training; `member_bytes` is counted from
tensors.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import demo
import torch
from engine import (
    Population,
    compile_seconds,
    first_batches,
    fresh_model,
    losses_after_epoch,
    planned_members,
    planned_trainer,
)
from floors import Clock, clock_of, gemm_rate, rate, step_flops, torch_flops
from loops import Loop, shuffled
from models import WIDTHS, Task, plugins_installed, task
from rows import Row, median, parser

from ridgeway.spec.names import PenaltyName
from workers.population.configuration import Configuration

MODELS = ("linear", "mlp", "plugin", "cnn")
MIXTURE: tuple[PenaltyName, ...] = ("none", "l1", "l2", "elastic_net")
LONG, SHORT = 100_000, 100  # trials of the job that the planner is asked about
UNPLANNED = 16  # members of a population where the planner has no choice
CURVES: Mapping[str, Sequence[int]] = {
    "population": (1, 4, 16, 64, 256, 1024, 4096),
    "rows": (256, 1024, 4096, 16384, 65536),
    "width": (16, 32, 64, 128, 256, 512),
}
LARGEST_NETS = 256  # members of a curve over P on a CPU, but for linear models
LARGEST_CNN = 64  # channels of a curve over width
WARMING = 2  # searches before those that are timed
SEARCH = {
    "dataset": "digits",
    "model": {"kind": "mlp", "hidden": [128, 128]},
    "search": {"penalty": list(MIXTURE), "lambda": {"low": 1e-6, "high": 1e-1, "log": True}},
    "validation": {"kind": "holdout", "fraction": 0.2},
    "epochs": 30,
}


def main() -> None:
    """Print the rows."""
    arguments = options().parse_args()
    torch.set_num_threads(1)
    names = MODELS if arguments.model == "all" else (arguments.model,)
    with plugins_installed():
        if arguments.search:
            rows = search(arguments)
        elif arguments.check:
            rows = (row for name in names for row in check(name, arguments))
        else:
            points = (point for name in names for point in curve(name, arguments))
            rows = (row for point in points for row in measured(*point, arguments))
        for row in rows:
            row.print(arguments.json)


def options() -> argparse.ArgumentParser:
    """Read the command line."""
    made = parser(__doc__)
    made.set_defaults(repeats=5)
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--model", choices=(*MODELS, "all"), default="all")
    made.add_argument("--population", type=int, help="members; as the planner chooses")
    made.add_argument("--rows", type=int, default=4096)
    made.add_argument("--width", type=int, help="hidden units, channels, or a linear one's inputs")
    made.add_argument("--batch", type=int, default=128)
    made.add_argument("--penalty", choices=("mixture", *MIXTURE), default="mixture")
    made.add_argument("--short", action="store_true", help="plan for a job of 100 trials")
    made.add_argument("--seconds", type=float, default=1.0, help="of each measurement, at least")
    made.add_argument("--trials", type=int, default=100, help="of the search")
    made.add_argument("--workers", default="auto", help="of the search; two for each GPU")
    doing = made.add_mutually_exclusive_group()
    doing.add_argument("--curve", choices=tuple(CURVES))
    doing.add_argument("--check", action="store_true")
    doing.add_argument("--search", action="store_true")
    return made


def curve(name: str, arguments: argparse.Namespace) -> Iterator[tuple[Task, int | None]]:
    """Return the tasks and populations to measure: one, or those along a curve."""
    population: int | None = arguments.population
    rows, width, batch = arguments.rows, arguments.width, arguments.batch
    points = CURVES.get(arguments.curve, ())
    if arguments.curve == "population":
        small = name == "linear" or arguments.device == "cuda"
        largest = points[-1] if small else LARGEST_NETS
        for members in points:
            if members <= largest:
                yield task(name, rows, width, batch), members
    elif arguments.curve == "rows":
        for count in points:
            yield task(name, count, width, batch), population
    elif arguments.curve == "width":
        for units in points:
            if name != "cnn" or units <= LARGEST_CNN:
                yield task(name, rows, units, batch), population
    else:
        yield task(name, rows, width, batch), population


def configurations(penalty: str, members: int) -> list[Configuration]:
    """Return members of all penalties in turn, each with hyperparameters of its own."""
    names = penalties(penalty)
    spread = [(number + 0.5) / members for number in range(members)]
    return [
        Configuration(
            penalty=names[number % len(names)],
            strength=10 ** (-4 + 2 * place),
            l1_ratio=0.5,
            learning_rate=10 ** (-3 + place),
            weight_decay=10 ** (-4 + 2 * place),
        )
        for number, place in enumerate(spread)
    ]


def penalties(penalty: str) -> Sequence[PenaltyName]:
    """Return the names behind an option."""
    return MIXTURE if penalty == "mixture" else (cast("PenaltyName", penalty),)


# --- steps a second ---------------------------------------------------------------------------


def measured(chosen: Task, members: int | None, arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield every row of one point; on a curve the steps and the floor alone."""
    device = torch.device(arguments.device)
    clock, unit = clock_of(device)
    trainer, step_seconds = planned_trainer(chosen, device, SHORT if arguments.short else LONG)
    if members is None:
        few = configurations(arguments.penalty, UNPLANNED)
        members = planned_members(trainer, few) or UNPLANNED
    population = Population(chosen, configurations(arguments.penalty, members), trainer)
    most = steps_that_fit(population, arguments.seconds, clock)
    bare = Baseline(chosen, "none", device)
    penalised = Baseline(chosen, arguments.penalty, device)
    flops = step_flops(fresh_model(chosen), chosen.fold.train_inputs.shape[1], arguments.batch)
    runs: dict[str, list[float]] = {"ours": [], "penalised": [], "bare": [], "gemm": []}
    for _ in range(arguments.repeats):
        for name, run in (("penalised", penalised.train), ("bare", bare.train)):
            runs[name].append(rate(run, arguments.seconds, clock))
        runs["ours"].append(rate(lambda: population.train(most), arguments.seconds, clock))
        runs["gemm"].append(gemm_rate(device, arguments.seconds / 4, clock))
    ours, gemm = median(runs["ours"]), median(runs["gemm"])
    details = {
        "model": chosen.name,
        "device": arguments.device,
        "backend": trainer.backend.name,
        "population": members,
        "rows": chosen.rows,
        "width": chosen.width,
        "batch": arguments.batch,
        "penalty": arguments.penalty,
    }
    for loop in ("penalised", "bare"):
        theirs = median(runs[loop])
        kept = {**details, "loop": loop}
        yield Row("model_steps", ours, f"steps/{unit}", theirs, ours / theirs, kept)
    theirs, kept = median(runs["penalised"]), {**details, "flops": flops}
    limit = gemm / flops
    share = ours / limit
    yield Row("floor_share", share, "of the floor", theirs / limit, ours / theirs, kept)
    if arguments.curve:
        return
    yield Row("gemm_floor", limit, f"steps/{unit}", parameters={**kept, "gflops": gemm / 1e9})
    compiling = {"kernels": compile_seconds(), "step": step_seconds}
    for part, seconds in compiling.items():
        yield Row("compile_time", seconds, "s", parameters={**details, "part": part})
    for part, value in shares(population, most, arguments.seconds, clock).items():
        yield Row("time_share", value, "of the time", parameters={**details, "part": part})
    settling = population.settling_share(clock)
    yield Row("settling_share", settling, "of the training", parameters=details)
    for part, count in population.member_bytes().items():
        yield Row("member_bytes", count, "B", parameters={**details, "part": part})


class Baseline:
    """Loops for each penalty, in turn."""

    def __init__(self, chosen: Task, penalty: str, device: torch.device) -> None:
        inputs = chosen.fold.train_inputs.to(device)
        targets = chosen.fold.train_targets.to(device)
        own = configurations(penalty, len(penalties(penalty)))
        self.loops = [Loop(fresh_model(chosen).to(device), each) for each in own]
        self.batches = [shuffled(inputs, targets, chosen.spec.batch_size) for _ in own]
        self.train(2)  # makes the optimisers' states

    def train(self, count: int = 32) -> int:
        """Take so many steps of each loop; return how many in all."""
        for loop, batches in zip(self.loops, self.batches, strict=True):
            loop.train(islice(batches, count))
        return count * len(self.loops)


def steps_that_fit(population: Population, seconds: float, clock: Clock) -> int:
    """Return how many batches train within the time of a measurement."""
    started = clock()
    population.train(1)
    return max(1, math.floor(seconds / (clock() - started)))


def shares(population: Population, most: int, seconds: float, clock: Clock) -> Mapping[str, float]:
    """Return shares of the time: forward and backward, optimiser with proximal step, the rest."""
    with population.timed(clock) as spent:
        started = clock()
        rate(lambda: population.train(most), seconds, clock)
        total = clock() - started
    parts = {part: value / total for part, value in spent.items()}
    return {**parts, "rest": 1 - sum(parts.values())}


# --- do both learn the same? ------------------------------------------------------------------


def check(name: str, arguments: argparse.Namespace) -> Iterator[Row]:
    """Check that one epoch in float64 from the same weights and batches ends alike in both."""
    device, dtype = torch.device(arguments.device), torch.float64
    chosen = task(name, arguments.rows, arguments.width, arguments.batch)
    own = configurations(arguments.penalty, len(MIXTURE))
    ours = losses_after_epoch(chosen, own, device, dtype)
    fold, batches = chosen.fold, first_batches(chosen, device)
    inputs, targets = fold.train_inputs.to(device, dtype), fold.train_targets.to(device)
    for each, value in zip(own, ours, strict=True):
        loop = Loop(fresh_model(chosen).to(device, dtype), each)
        loop.train((inputs[rows], targets[rows]) for rows in batches)
        expected = loop.loss(fold.valid_inputs.to(device, dtype), fold.valid_targets.to(device))
        if not math.isclose(value, expected, rel_tol=1e-6):
            raise SystemExit(f"{name}, {each}: ours ends at {value}, the loop at {expected}")
        details = {"model": name, "penalty": each.penalty, "device": arguments.device}
        yield Row("loss_after_epoch", value, "nats", expected, expected / value, details)
    counted = step_flops(fresh_model(chosen), inputs.shape[1], arguments.batch)
    batch = (fold.train_inputs[: arguments.batch], fold.train_targets[: arguments.batch])
    expected = torch_flops(fresh_model(chosen), *batch)
    if counted != expected:
        raise SystemExit(f"{name}: counted {counted} flops a step, torch counts {expected}")
    yield Row("flops", counted, "a step", expected, expected / counted, {"model": name})


# --- a whole search ---------------------------------------------------------------------------


def search(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time trials of the MLP from POST to the last trial, as benchmarks/demo.py does."""
    body = {**SEARCH, "trials": arguments.trials}
    processes = len(os.sched_getaffinity(0))
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    serving = demo.serving
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), arguments.workers) as made:
        client, _ = made
        for _ in range(WARMING):  # workers that share a GPU all have their turn
            client.wait(client.submit({**body, "trials": 100}))
        for number in range(arguments.repeats):
            ours.append(demo.run_ours(client, {**body, "seed": number}))
            theirs.append(demo.run_plain(body, number, processes))
    details = {
        "model": "mlp",
        "trials": arguments.trials,
        "epochs": SEARCH["epochs"],
        "width": WIDTHS["mlp"],
        "processes": processes,
    }
    for row in demo.rows(ours, theirs, arguments.trials):
        yield Row(*row, parameters=details)


if __name__ == "__main__":
    main()
