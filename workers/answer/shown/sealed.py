"""The recommended model on the sealed rows: curves of classes, or predictions beside the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ridgeway.answers import Choice
from ridgeway.shown import ClassCurves, NumberCurves, SealedCurves
from workers.answer.sealed import SealedTest
from workers.answer.shown.calibration import calibration
from workers.answer.shown.parts import Absent, sampled, short, shorts
from workers.answer.shown.roc import Floats, Judged, area, curve
from workers.objectives.losses import Kind, kind_of, of_classes, response_losses

MOST_CLASSES = 10
POINTS = 200  # of a curve; of each of several classes half as many
MOST_ROWS = 500  # that are shown one by one
LEVELS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


def sealed_curves(
    sealed: SealedTest, role: str, choice: Choice, classes: tuple[str, ...]
) -> SealedCurves:
    """Return the curves of a role's predictions; the rows are looked at with all other scores."""
    if role not in sealed.logits:
        raise Absent("The recommended model's refit diverged.")
    if not sealed.rows:
        raise Absent("No rows are sealed.")
    fold, logits = sealed.fold, sealed.logits[role]
    # The constant's log share of a class that no row has is -inf: a probability of 0.
    logits = logits.nan_to_num(nan=torch.nan, neginf=-1e30, posinf=1e30)
    if not logits.isfinite().all():
        raise Absent("A prediction is no finite number.")
    rows = Judged(
        fold.valid_targets.double().numpy(),
        None if fold.valid_weights is None else fold.valid_weights.double().numpy(),
        None if fold.valid_groups is None else fold.valid_groups.numpy(),
    )
    told = SealedCurves(choice=choice, rows=sealed.rows, weighted=rows.weights is not None)
    kind = kind_of(sealed.spec, logits.shape[-1])
    if not of_classes(kind):
        own = fold.own_kind(kind)
        return told.model_copy(update={"numbers": _numbers(logits, rows, own, sealed.spec.seed)})
    shown = _by_class(logits, rows, classes)
    left_out = len(classes) - len(shown) if len(classes) > 2 else 0
    return told.model_copy(update={"classes": shown, "left_out": left_out})


def _by_class(logits: Tensor, rows: Judged, classes: tuple[str, ...]) -> list[ClassCurves]:
    """Return the curves of the second of two classes, or of each of those with the most rows."""
    if logits.shape[-1] == 1:
        scores, chosen, points = torch.cat([-logits, logits], 1).numpy(), [1], POINTS
        shares = logits.sigmoid()
        probabilities = torch.cat([1 - shares, shares], 1).numpy()
    else:
        counts = np.bincount(rows.truth.astype(int), minlength=len(classes))
        chosen = sorted(np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist())
        probabilities, points = logits.softmax(-1).numpy(), POINTS // 2
        scores = probabilities
    return [
        _class(classes[own], scores[:, own], probabilities[:, own], _one(rows, own), points)
        for own in chosen
    ]


def _one(rows: Judged, own: int) -> Judged:
    return replace(rows, truth=(rows.truth == own).astype(float))


def _class(
    name: str, scores: Floats, probabilities: Floats, rows: Judged, points: int
) -> ClassCurves:
    """scores order the rows; they may tell probabilities apart that are rounded to one number."""
    found = area(scores, rows)
    false, true = curve(scores, rows, points) if found is not None else (np.zeros(0), np.zeros(0))
    interval = None if found is None else found[1]
    return ClassCurves(
        name=name,
        rows=int(rows.truth.sum()),
        false_positive_rate=shorts(false),
        true_positive_rate=shorts(true),
        auc=None if found is None else short(found[0]),
        auc_interval=None if interval is None else (short(interval[0]), short(interval[1])),
        calibration=calibration(probabilities, rows, shares=True),
    )


def _numbers(logits: Tensor, rows: Judged, kind: Kind, seed: int) -> NumberCurves:
    """kind: of the loss in the target's own units, as the logits are."""
    predicted, truth = logits.squeeze(-1).numpy(), rows.truth
    residuals = truth - predicted
    if kind == "poisson":
        losses = response_losses(kind, logits, torch.from_numpy(truth)).clamp_min(0)
        residuals = np.sign(residuals) * losses.sqrt().numpy()
    kept = sampled(len(truth), MOST_ROWS, seed, "sealed")
    return NumberCurves(
        truth=shorts(truth[kept]),
        predicted=shorts(predicted[kept]),
        residuals=shorts(residuals[kept]),
        residual="deviance" if kind == "poisson" else "difference",
        levels=list(LEVELS),
        quantiles=shorts(np.quantile(residuals, LEVELS)),
        calibration=calibration(predicted, rows, shares=False),
    )
