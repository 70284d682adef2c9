"""Evidence of jobs that were never run, of every kind that plots meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)
from scripted import make_answered_job, make_job
from shown_parts import make_shown

from ridgeway.answers import PenaltyRow
from ridgeway.features import Feature, Features, Stability
from ridgeway.paths import PathPoint, RegularisationPath
from ridgeway.plots.evidence import Evidence, Trials
from ridgeway.spec.wording import parse_spec

PENALTIES = ("l2", "l1", "elastic_net", "none")
COLUMNS = tuple(f"x{place}" for place in range(6))
# Names that a column, a level or a plug-in's penalty may have.
HOSTILE = (
    "<script>alert(1)</script>",
    "datum['x']",
    "a.b[0]['c']",
    "\\'\"; alert(1); //",
    "{{signal}} && width",
    "\x00\x1b]0;owned\x07\u202egnp.exe",
    "n" * 500,
    "名前 Ωμέγα 👩‍🔬",
    "\udcff",
    "  ",
)


def make_trials(count: int = 40, penalties: Sequence[str] = PENALTIES, seed: int = 0) -> Trials:
    """Return trials of these penalties in turn; every tenth is pruned or has failed."""
    rng = np.random.default_rng(seed)
    penalty = tuple(penalties[number % len(penalties)] for number in range(count))
    strength = tuple(
        None if name == "none" else float(10 ** rng.uniform(-5, 0)) for name in penalty
    )
    complete = [number % 10 != 9 for number in range(count)]
    value = tuple(
        float(own) if there else None
        for own, there in zip(0.1 + rng.exponential(0.1, count), complete, strict=True)
    )
    value = (*value[:5], 7.0, *value[6:])  # far worse than all others
    features = tuple(float(rng.integers(0, 7)) if there else None for there in complete)
    rates = tuple(float(10 ** rng.uniform(-4, -1)) for _ in range(count))
    wide, narrow = FloatDistribution(1e-5, 1.0, log=True), FloatDistribution(1e-4, 0.1, log=True)
    return Trials(
        number=tuple(range(count)),
        state=tuple(
            "complete" if there else "pruned" if number % 20 == 9 else "fail"
            for number, there in enumerate(complete)
        ),
        value=value,
        standard_error=tuple(None if own is None else 0.01 for own in value),
        penalty=penalty,
        strength=strength,
        nonzero_share=tuple(None if own is None else own / 6 for own in features),
        features=features,
        params={"learning_rate": rates},
        distributions={
            "penalty": distribution_to_json(CategoricalDistribution(tuple(dict.fromkeys(penalty)))),
            **({"lambda": distribution_to_json(wide)} if any(strength) else {}),
            "learning_rate": distribution_to_json(narrow),
        },
        there_are=count,
    )


def make_path(
    columns: Sequence[str] = COLUMNS, outputs: int = 1, **fields: Any
) -> RegularisationPath:
    """Return a path of L1 on a linear model: columns come in one after the other."""
    strengths = np.geomspace(1, 1e-4, 20).tolist()
    points = [
        PathPoint(
            strength=strength,
            value=None if place == 19 else 0.1 + abs(place - 11) / 40,
            standard_error=0.02,
            nonzero_weights=float(min(place, len(columns))),
            features=float(min(place, len(columns))),
            refit_features=min(place, len(columns)),
            coefficients={
                name: [(place - column) * (-1) ** column] * outputs
                for column, name in enumerate(columns[:place])
            },
            intercepts=[0.0] * outputs,
        )
        for place, strength in enumerate(strengths)
    ]
    values: dict[str, Any] = {
        "penalty": "l1",
        "objective": "loss",
        "outputs": [f"class {place}" for place in range(outputs)],
        "columns": list(columns),
        "scales": {name: 2.0 for name in columns},
        "best_strength": strengths[11],
        "one_standard_error_strength": strengths[9],
        "recommended_strength": strengths[9],
        "trial": 9,
        "points": points,
    }
    return RegularisationPath(**{**values, **fields})


def of_a_net(path: RegularisationPath) -> RegularisationPath:
    """Return the path as a net has it: norms for coefficients."""
    points = [
        point.model_copy(
            update={
                "norms": {name: abs(own[0]) for name, own in (point.coefficients or {}).items()},
                "coefficients": None,
            }
        )
        for point in path.points
    ]
    return path.model_copy(update={"points": points, "scales": {}})


def make_features(names: Sequence[str] = COLUMNS, halves: bool = True) -> Features:
    """Return features whose norms fall, the last of them unused."""
    features = [
        Feature(
            name=name,
            rank=place + 1,
            norm=1 / (place + 1) if place + 1 < len(names) else 0.0,
            sign=(-1) ** place,
            used=place + 1 < len(names),
            folds=1.0,
            frequency=1 - place / len(names) if halves else None,
        )
        for place, name in enumerate(names)
    ]
    stability = Stability(
        pairs=50, most=2, threshold=0.75, false_selections=0.5, stable=list(names[:2])
    )
    return Features(
        choice="simplest",
        trial=9,
        settled=None,
        permutations=10,
        stability=stability if halves else None,
        features=features,
    )


def make_rows(penalties: Sequence[str] = PENALTIES) -> list[PenaltyRow]:
    """Return what the search made of each, the first the best, the last far behind."""
    return [
        PenaltyRow(
            penalty=name,
            trials=12,
            number=place,
            value=0.1 + 0.01 * place,
            standard_error=0.02,
            behind=0.01 * place if place + 1 < len(penalties) else 9.0,
            behind_error=0.004 * place,
        )
        for place, name in enumerate(penalties)
    ]


def make_evidence(
    penalties: Sequence[str] = PENALTIES, columns: Sequence[str] = COLUMNS, **spec: Any
) -> Evidence:
    """Return the evidence of a job of a linear model that has been answered."""
    job = make_answered_job(
        spec=parse_spec({"dataset": "wine", "model": {"kind": "linear"}, **spec})
    )
    assert job.recommended is not None
    path = make_path(columns)
    simplest = job.recommended.simplest.model_copy(
        update={
            "number": 9 if len(penalties) > 1 else 0,
            "selected_features": 4,
            "params": {"penalty": "l1", "lambda": path.recommended_strength},
        }
    )
    answer = job.recommended.model_copy(
        update={"penalties": make_rows(penalties), "simplest": simplest}
    )
    return Evidence(
        job=job.model_copy(update={"recommended": answer}),
        spec=job.spec,  # type: ignore[arg-type]
        answer=answer,
        path=path,
        features=make_features(columns),
        shown=make_shown(penalties, columns),
        trials=make_trials(penalties=penalties),
    )


def unanswered(evidence: Evidence) -> Evidence:
    """Return the evidence as it is in the middle of the search."""
    return replace(evidence, job=make_job(), answer=None, path=None, features=None, shown=None)
