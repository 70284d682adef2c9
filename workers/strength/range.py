"""`lambda: "auto"`: the range of strengths worth searching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from ridgeway.spec.models import LinearModel
from ridgeway.spec.names import PenaltyName
from ridgeway.spec.space import quantile
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import ForwardValidation
from workers.data.folds import Fold
from workers.data.mapped import Rows
from workers.data.prepare import Prepared
from workers.data.targets import huber_location, pinball_slopes, quantile_location
from workers.fullbatch.links import link_of
from workers.models.building import build_model
from workers.models.by_input import PLAIN, ByInput, over_held
from workers.models.layout import Layout
from workers.models.parameters import describe_parameters
from workers.objectives.losses import Huber, Kind, Quantile, kind_of, row_weights
from workers.penalties.base import Penalty
from workers.penalties.penalties import PENALTIES
from workers.population.problem import Problem
from workers.population.watch import Watch
from workers.strength.free import fitted_by_free, middle_smoothing, pinball_by_free
from workers.strength.initial import initial_weights
from workers.strength.placing import is_placed, placed_strengths
from workers.strength.probe import BELOW, UNPROBED, StrengthRange, probe_range

BELOW_OF_WIDE = 1e-3  # λ_max, the low end where rows are fewer than inputs
BEYOND = 10.0  # λ_max of Σ |w|, where a path begins if no strength zeroes all weights
PATHS_LOWEST = {
    True: 1e-2,
    False: 1e-4,
}  # of λ_max: with fewer rows than inputs, else
# What a model of zeros predicts, which full label smoothing draws to; of more classes 1 / K.
UNINFORMED: Mapping[Kind, float] = {"regression": 0.0, "poisson": 1.0, "binary": 0.5}
ROUNDING = 1e-12  # of the gradient of data that tell nothing
HAIR = 1e-8  # above λ_max, as a share: its rounding must leave no weight at a path's beginning
ROWS_AT_ONCE = 2**14  # as doubles


def strength_range(
    prepared: Prepared, problem: Problem, on_epoch: Callable[[int, int], None]
) -> StrengthRange:
    """Return what a job's `"auto"` stands for, from its development rows alone.

    A net is probed on the rows that the first fold trains on, the last of forward ones, of which
    the first has the fewest, for its range or for all strengths of its path; on_epoch(done, of) is
    called after each epoch of it. JobUnrunnable where its model can't be built or trained.
    """
    spec, outputs = prepared.spec, prepared.outputs
    if isinstance(spec.strengths, list):
        return StrengthRange(min(spec.strengths), max(spec.strengths))
    if spec.search.strength != "auto":
        return StrengthRange(*UNPROBED)  # nobody asks for it
    if isinstance(spec.model, LinearModel):
        rows, inputs = prepared.development(), problem.by_input
        if spec.kind == "path":
            return StrengthRange(*(path_range(spec, rows, outputs, inputs) or UNPROBED))
        return linear_range(spec, rows, outputs, inputs)
    probed = problem.folds[-1 if isinstance(spec.validation, ForwardValidation) else 0]
    find = placed_strengths if is_placed(spec) else probe_range
    return find(replace(problem, folds=(probed,)), Watch(on_epoch=on_epoch))


def linear_range(spec: JobSpec, rows: Fold, outputs: int, inputs: ByInput = PLAIN) -> StrengthRange:
    """Return 1e-4 of the smallest to the largest λ_max of the searched penalties, on these rows.

    1e-3 with fewer rows than inputs, as further down all models go through their training rows.
    λ_max is the smallest λ whose solution is all zeros, but for inputs whose factor is 0, or
    that of Σ |w| where there is none. Where l1_ratio or label_smoothing are searched it is that of
    their middles.
    """
    critical = critical_strengths(spec, rows, outputs, inputs)
    usable = [strength for strength in critical if strength > ROUNDING]
    if not usable:  # nothing to explain: constant columns, or a search without a penalty
        return StrengthRange(*UNPROBED)
    # Rounded, so that the last bits of a target in other units change no distribution.
    wide = rows.train_inputs.shape[1] > len(rows.train_inputs)
    ends = ((BELOW_OF_WIDE if wide else BELOW) * min(usable), max(usable))
    low, high = (float(f"{end:.7g}") for end in ends)
    return StrengthRange(low, high)


def path_range(
    spec: JobSpec, rows: Fold, outputs: int, inputs: ByInput
) -> tuple[float, float] | None:
    """Return the ends of a path job's strengths, as those of an answer's path."""
    mixed = spec.search.penalty[0], quantile(spec.search.l1_ratio, 0.5)
    return path_ends(spec, rows, outputs, inputs, mixed)


def path_ends(
    spec: JobSpec, rows: Fold, outputs: int, inputs: ByInput, mixed: tuple[PenaltyName, float]
) -> tuple[float, float] | None:
    """Return the lowest and highest strength of a linear model's path; None of data without one.

    From λ_max of these rows, or, where no strength leaves nothing, from ten times that of Σ |w|.
    mixed: the penalty and its l1_ratio.
    """
    largest = critical_strength(spec, rows, outputs, inputs, mixed)
    if largest <= 0:  # the data tell nothing
        return None
    wide = rows.train_inputs.shape[1] > len(rows.train_targets)
    sparse = PENALTIES[mixed[0]].components(1.0, mixed[1]).sparse
    high = (1 + HAIR) * largest if sparse else BEYOND * largest
    return PATHS_LOWEST[wide] * largest, high


def critical_strength(
    spec: JobSpec, rows: Fold, outputs: int, inputs: ByInput, mixed: tuple[PenaltyName, float]
) -> float:
    """Return λ_max of a penalty at its l1_ratio, that of Σ |w| where it has none."""
    return _Slope(spec, rows, outputs, inputs).critical(*mixed)


def critical_strengths(
    spec: JobSpec, rows: Fold, outputs: int, inputs: ByInput = PLAIN
) -> list[float]:
    """Return λ_max of each penalty searched that has a strength."""
    ratio = quantile(spec.search.l1_ratio, 0.5)
    slope = _Slope(spec, rows, outputs, inputs)
    return [
        slope.critical(name, ratio) for name in spec.search.penalty if PENALTIES[name].has_strength
    ]


@dataclass(frozen=True, eq=False)
class _Slope:
    """The gradient at zero weights by parameter, and how they lie side by side.

    An input's gradient is taken over its factor: as large as the strength that holds it at zero.
    """

    spec: JobSpec
    rows: Fold
    outputs: int
    inputs: ByInput

    def critical(self, penalty: PenaltyName, l1_ratio: float) -> float:
        own, kind = PENALTIES[penalty], kind_of(self.spec, self.outputs)
        bend = 1.0 if isinstance(kind, Quantile) else link_of(kind).bound  # its slopes jump
        flat = self._flat(self._factors(own))
        return own.largest_useful_strength(flat, l1_ratio, self._layout.groups, bend)

    @cached_property
    def _layout(self) -> Layout:
        model = build_model(self.spec.model, self.rows.train_inputs.shape[1], self.outputs)
        parameters = describe_parameters(model, self.spec.penalize, self.spec.group_by)
        return Layout.of(parameters, ByInput(groups=self.inputs.groups))

    @cached_property
    def _found(self) -> dict[str, Tensor]:
        return gradient_at_zero(self.spec, self.rows, self.outputs, self.inputs)

    def _factors(self, penalty: Penalty) -> Tensor | None:
        """Return what an input's gradient is to be divided by, (d,); None for one."""
        factors = self.inputs.factors
        if penalty.adaptive:
            initial = initial_weights(self.spec, self.rows, self.outputs, self.inputs)
            factors = initial if factors is None else initial * factors
        return None if factors is None else factors.pow(penalty.factor_power)

    def _flat(self, factors: Tensor | None) -> Tensor:
        """Return the gradient over the penalised columns, the inputs' over their factors."""
        flat = torch.zeros(self._layout.columns, dtype=torch.float64)
        held = over_held(self._found["weight"], factors)
        views = self._layout.views(flat)
        for name, own in {**self._found, "weight": self.inputs.pulls(held)}.items():
            views[name].copy_(own)
        return flat[: self._layout.penalised_columns]


def gradient_at_zero(
    spec: JobSpec, rows: Fold, outputs: int, inputs: ByInput = PLAIN
) -> dict[str, Tensor]:
    """Return the gradient of the mean loss in weight (outputs, d) and bias (outputs,).

    Penalised parameters are zero; the weights of inputs whose factor is 0 are fitted, and the bias
    unless it is penalised. Smoothing draws targets towards those that tell nothing; the gradient is
    linear in the targets.
    """
    weights = row_weights(spec, rows.train_targets, rows.train_weights)
    shares = weights[:, None] / len(weights)
    kind = kind_of(spec, outputs)
    if isinstance(kind, Quantile):
        slope = _pinball_slope(spec, rows, kind, inputs)
    else:
        slope = _smooth_slope(spec, rows, outputs, inputs)
    bias = slope.sum(0) if spec.penalize == "all" else torch.zeros(outputs)
    weight = _product(slope, rows.train_inputs, None if spec.penalize == "all" else shares)
    return {"weight": weight, "bias": bias}


def _pinball_slope(spec: JobSpec, rows: Fold, kind: Quantile, inputs: ByInput) -> Tensor:
    """Return the derivatives (n, 1) of the mean pinball loss where penalised parameters are zero.

    Rows whose target is predicted lie on the kink, where they have more than one.
    """
    if inputs.factors is not None and (inputs.factors == 0).any():
        return pinball_by_free(spec, rows, 1, inputs)
    weights = row_weights(spec, rows.train_targets, rows.train_weights).numpy()
    truth, shares = rows.train_targets.double().numpy(), weights / len(weights)
    held = spec.penalize == "all"
    constant = 0.0 if held else quantile_location(truth, kind.level, shares)
    return torch.from_numpy(pinball_slopes(truth - constant, kind.level, shares))[:, None]


def _smooth_slope(spec: JobSpec, rows: Fold, outputs: int, inputs: ByInput) -> Tensor:
    """Return the same derivatives of any other loss, (n, outputs)."""
    weights = row_weights(spec, rows.train_targets, rows.train_weights)
    shares, kind = weights[:, None] / len(weights), kind_of(spec, outputs)
    if kind == "multiclass":
        truth = functional.one_hot(rows.train_targets, outputs).double()
    else:
        truth = rows.train_targets.double().unsqueeze(1)
    uninformed = UNINFORMED.get(kind, 0.0 if isinstance(kind, Huber) else 1 / outputs)
    truth = truth + middle_smoothing(spec) * (uninformed - truth)
    if inputs.factors is not None and (inputs.factors == 0).any():
        predicted = fitted_by_free(spec, rows, outputs, inputs)
    elif spec.penalize == "all":
        predicted = uninformed
    else:
        predicted = _constant(kind, truth, shares)
    errors = predicted - truth
    if isinstance(kind, Huber):
        errors = errors.clamp(-kind.delta, kind.delta)
    return link_of(kind).slope * shares * errors


def _constant(kind: Kind, truth: Tensor, shares: Tensor) -> Tensor | float:
    """Return what the best constant predicts, of truth (n, outputs) and shares (n, 1)."""
    if isinstance(kind, Huber):
        return huber_location(truth[:, 0].numpy(), kind.delta, shares[:, 0].numpy())
    return (shares * truth).sum(0)


def _product(slope: Tensor, inputs: Rows, shares: Tensor | None) -> Tensor:
    """Return slope (n, outputs) times inputs (n, d), less their means by the shares (n, 1).

    Part after part: as doubles all inputs together would take twice the memory that they do.
    """
    parts = [slice(start, start + ROWS_AT_ONCE) for start in range(0, len(inputs), ROWS_AT_ONCE)]
    means = torch.zeros(inputs.shape[1], dtype=torch.float64)
    if shares is not None:
        for part in parts:
            means += (shares[part] * inputs[part].double()).sum(0)
    found = torch.zeros(slope.shape[1], inputs.shape[1], dtype=torch.float64)
    for part in parts:
        found += slope[part].T @ (inputs[part].double() - means)
    return found
