"""What answers keep for pictures, of jobs that were never run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ridgeway.shown import (
    CalibrationBin,
    ClassCurves,
    Flicker,
    Learning,
    LearningCurve,
    NumberCurves,
    SealedCurves,
    Shown,
    WeightHistogram,
    Weights,
    WeightTrace,
)

LEVELS = [0.0, 0.05, 0.5, 0.95, 1.0]


def make_learning(penalties: Sequence[str] = ("l1", "none"), gap: float = 0.1) -> Learning:
    """Return curves that fall over 30 epochs; the last one's validation ends twice as far off."""
    epochs = list(range(1, 31))
    training = [1 / epoch for epoch in epochs]
    return Learning(
        objective="loss",
        loss=None,
        training_rows=364,
        validation_rows=91,
        curves=[
            LearningCurve(
                trial=place,
                roles=["none"] if name == "none" else ["simplest", "best"],
                penalty=name,
                strength=None if name == "none" else 0.01,
                epochs=epochs,
                training=[*training],
                validation=[value + gap * (1 + place) for value in training],
                refit_epochs=30 - 10 * place,
            )
            for place, name in enumerate(penalties)
        ],
    )


def make_classes(names: Sequence[str] = ("yes",)) -> SealedCurves:
    """Return curves of these classes, each a little worse than the one before."""
    false = [0.0, 0.1, 0.4, 1.0]
    return SealedCurves(
        choice="simplest",
        rows=200,
        weighted=False,
        classes=[
            ClassCurves(
                name=name,
                rows=60,
                false_positive_rate=false,
                true_positive_rate=[0.0, 0.8 - 0.05 * place, 0.95, 1.0],
                auc=0.93 - 0.02 * place,
                auc_interval=(0.9 - 0.02 * place, 0.96 - 0.02 * place),
                calibration=[
                    CalibrationBin(
                        low=0.0,
                        high=0.5,
                        predicted=0.2,
                        observed=0.22,
                        interval=(0.1, 0.3),
                        rows=99,
                    ),
                    CalibrationBin(
                        low=0.5, high=1.0, predicted=0.9, observed=0.7, interval=(0.6, 0.8), rows=99
                    ),
                ],
            )
            for place, name in enumerate(names)
        ],
    )


def make_numbers(rows: int = 50) -> SealedCurves:
    """Return predictions that miss the truth by -1 ... 1."""
    truth = np.linspace(0, 100, rows)
    missed = np.linspace(-1, 1, rows)
    numbers = NumberCurves(
        truth=truth.tolist(),
        predicted=(truth - missed).tolist(),
        residuals=missed.tolist(),
        residual="difference",
        levels=LEVELS,
        quantiles=np.quantile(missed, LEVELS).tolist(),
        calibration=[],
    )
    return SealedCurves(choice="simplest", rows=rows, weighted=False, numbers=numbers)


def make_weights(penalties: Sequence[str] = ("l1", "l2", "none")) -> Weights:
    """Return histograms in four bins; L1's has 60 zeros of 100."""
    return Weights(
        confirmed=True,
        edges=[-1.0, -0.5, 0.0, 0.5, 1.0],
        histograms=[
            WeightHistogram(
                penalty=name,
                trial=place,
                strength=None if name == "none" else 0.01,
                weights=100,
                zeros=60 if name == "l1" else 0,
                counts=[5, 15, 15, 5] if name == "l1" else [10, 40, 40, 10],
                beyond=1,
                largest=1.5,
            )
            for place, name in enumerate(penalties)
        ],
    )


def make_flicker(names: Sequence[str] = ("age", "s2")) -> Flicker:
    """Return traces that change sign at each step beside zeros."""
    jumps = [0.01 * (-1) ** step for step in range(40)]
    return Flicker(
        rows=284,
        weights=10,
        strength=0.12,
        learning_rate=0.1,
        steps=120,
        traces=[WeightTrace(name=name, subgradient=jumps, proximal=[0.0] * 40) for name in names],
        subgradient_zeros=[0] * 40,
        proximal_zeros=[5] * 40,
    )


def make_shown(
    penalties: Sequence[str] = ("l1", "l2", "none"), columns: Sequence[str] = ("age", "s2")
) -> Shown:
    """Return every part, of a job that tells two classes apart."""
    return Shown(
        learning=make_learning([penalties[0], *(["none"] if "none" in penalties[1:] else [])]),
        sealed=make_classes(),
        weights=make_weights(penalties),
        flicker=make_flicker(columns[:4]),
    )
