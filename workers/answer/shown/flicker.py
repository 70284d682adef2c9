"""A subgradient step beside a proximal one, on rows of this job: why only one of them gives zeros.

Both minimise the mean loss of a linear model + λ Σ |w| by full-batch steps of one length η:

    subgradient  w - η (g + λ sign w), which jumps about zero by η λ and never lands on it
    proximal     soft(w - η g, η λ), which is zero wherever |w - η g| ≤ η λ
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ridgeway.shown import Flicker, WeightTrace
from workers.answer.shown.parts import Absent, sampled, short, shorts
from workers.data.prepare import Prepared
from workers.heeding import heed
from workers.objectives.constant import constant_logits
from workers.objectives.losses import Kind, kind_of, loss_and_gradient
from workers.penalties.proximal import soft_threshold

MOST_ROWS, MOST_WEIGHTS = 500, 500
STEPS, SHOWN = 120, 40
TRACES = 4
SHARE = 0.1  # of the least λ that leaves no weight
NOTHING_TOLD = "No input tells anything of the target on the rows that were drawn."
# Bounds of the loss's second derivative, so that steps of one over it go down. Of a Poisson
# distribution there is none: that of twice the mean of the target serves rows like these.
CURVATURES: dict[str, float] = {"binary": 0.25, "multiclass": 0.5, "poisson": 2.0}


@dataclass(frozen=True)
class Rows:
    """Rows to train on: inputs (n, d) float64 with their names, targets (n,), what logits mean."""

    inputs: Tensor
    targets: Tensor
    names: tuple[str, ...]
    outputs: tuple[str, ...]  # () where there is one
    kind: Kind

    @property
    def start(self) -> Tensor:
        """The best intercepts (K,) of weights that are all zero."""
        return constant_logits(self.targets, len(self.outputs) or 1)

    def gradient(self, weights: Tensor, intercepts: Tensor) -> tuple[Tensor, Tensor]:
        """Return that of the mean loss by weights (M, K, d) and intercepts (M, K)."""
        logits = weights @ self.inputs.T + intercepts[..., None]  # (M, K, n)
        even = torch.full_like(self.inputs[None, :, 0], 1 / len(self.inputs))
        loss_and_gradient(self.kind, logits[None], self.targets[None], even, None)
        return logits @ self.inputs, logits.sum(-1)


def flicker(prepared: Prepared) -> Flicker:
    """Train both on development rows, and show the last steps of the weights nearest to zero."""
    rows = _rows(prepared)
    start = rows.start
    if not start.isfinite().all():
        raise Absent("A class has no row among those that would be trained on.")
    weights = torch.zeros(1, len(start), len(rows.names), dtype=torch.float64)
    at_zero, _ = rows.gradient(weights, start[None])
    strength = SHARE * float(at_zero.abs().max())
    rate = 1 / _steepness(rows)
    if not strength > 0:
        raise Absent(NOTHING_TOLD)
    trace = _trained(rows, strength, rate)  # (S, 2, K, d)
    if not trace.isfinite().all():
        raise Absent("Steps of one length did not stay finite with this loss.")
    trace = trace.flatten(2).numpy()
    zeros = (trace == 0).sum(-1)
    return Flicker(
        rows=len(rows.targets),
        weights=trace.shape[-1],
        strength=short(strength),
        learning_rate=short(rate),
        steps=STEPS,
        traces=[_trace(rows, trace, place) for place in _nearest(trace)],
        subgradient_zeros=zeros[:, 0].tolist(),
        proximal_zeros=zeros[:, 1].tolist(),
    )


def _rows(prepared: Prepared) -> Rows:
    """Return a sample of the rows that the job's last split trains on, and of its inputs."""
    split, seed = prepared.folds[-1], prepared.spec.seed
    kept = torch.from_numpy(sampled(len(split.train_targets), MOST_ROWS, seed, "flicker"))
    inputs = split.train_inputs[kept].cpu().double()
    varying = ((inputs != inputs[:1]).any(0)).nonzero().flatten()  # others keep zero weights
    if not len(varying):
        raise Absent(NOTHING_TOLD)
    most = max(1, MOST_WEIGHTS // prepared.outputs)
    columns = varying[torch.from_numpy(sampled(len(varying), most, seed, "flicker inputs"))]
    targets = split.train_targets[kept].cpu()
    return Rows(
        inputs[:, columns],
        targets.double() if targets.is_floating_point() else targets,
        tuple(prepared.features[column] for column in columns.tolist()),
        prepared.classes if prepared.outputs > 1 else (),
        kind_of(prepared.spec, prepared.outputs),
    )


def _steepness(rows: Rows) -> float:
    """Return a bound of the Hessian's largest eigenvalue, intercept included."""
    inputs = torch.nn.functional.pad(rows.inputs, (0, 1), value=1.0)
    small = inputs.T if len(inputs) > inputs.shape[1] else inputs
    largest = float(torch.linalg.eigvalsh(small @ small.T)[-1]) / len(inputs)
    curvature = CURVATURES.get(rows.kind, 2.0) if isinstance(rows.kind, str) else 2.0
    return curvature * largest


def _trained(rows: Rows, strength: float, rate: float) -> Tensor:
    """Return the weights after each of the last steps: (S, 2, K, d), the proximal ones second."""
    start = rows.start
    weights = torch.zeros(2, len(start), len(rows.names), dtype=torch.float64)
    intercepts = start.expand(2, -1)
    threshold, last = torch.tensor(rate * strength, dtype=torch.float64), []
    for step in range(STEPS):
        heed()
        slope, of_intercepts = rows.gradient(weights, intercepts)
        intercepts = intercepts - rate * of_intercepts
        weights[0] -= rate * (slope[0] + strength * weights[0].sign())
        weights[1] -= rate * slope[1]
        soft_threshold(weights[1], threshold)
        if step >= STEPS - SHOWN:
            last.append(weights.clone())
    return torch.stack(last)


def _nearest(trace: np.ndarray) -> list[int]:
    """Return the weights, of (S, 2, w), that are zero at the end of proximal steps or nearest to.

    Of those that are zero the ones that cross it the most often under the subgradient.
    """
    end, signs = np.abs(trace[-1, 1]), np.sign(trace[:, 0])
    crossings = (signs[1:] != signs[:-1]).sum(0)
    return np.lexsort((-crossings, end))[:TRACES].tolist()


def _trace(rows: Rows, trace: np.ndarray, place: int) -> WeightTrace:
    output, column = divmod(place, len(rows.names))
    name = rows.names[column]
    if rows.outputs:
        name = f"{name} → {rows.outputs[output]}"
    return WeightTrace(
        name=name[:200],
        subgradient=shorts(trace[:, 0, place]),
        proximal=shorts(trace[:, 1, place]),
    )
