"""Why L1 gives zeros and L2 doesn't: formulas and steps, with this job's strengths and weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ridgeway.answers import PenaltyRow, Recommended
from ridgeway.plots.evidence import Evidence
from ridgeway.spec.names import UNPENALISED, penalty_row
from ridgeway.words import number

EXPLAINED = ("l1", "l2", "elastic_net", "group_lasso")  # the formulas that the page has
SETS_ZEROS = ("l1", "elastic_net", "group_lasso")
SIZES = (1.0, 0.1, 0.01, 0.001)  # of a weight
STEP = 0.01  # η where the job has no rate of its own
MOST_STEPS = 10**12  # that are counted


@dataclass(frozen=True)
class Tried:
    """A penalty's best trial in this job: its strength, and how many of its weights are zero."""

    name: str
    label: str
    strength: float
    rate: float | None
    l1_ratio: float | None
    zero_share: float | None

    @property
    def zeros(self) -> str:
        """Return the share of weights that are exactly zero, in words."""
        return "-" if self.zero_share is None else f"{100 * self.zero_share:.1f} %"


@dataclass(frozen=True)
class Pull:
    """What a penalty adds to the gradient of one weight of a size, for each that is shown."""

    size: str
    pulls: tuple[str, ...]


@dataclass(frozen=True)
class Why:
    """What the section tells. pulled: the penalties whose pulls are shown, in their order."""

    title: str
    tried: tuple[Tried, ...]
    others: tuple[Tried, ...]  # no penalty, and penalties without a formula here
    pulled: tuple[Tried, ...]
    pulls: tuple[Pull, ...]
    landing: str
    halving: str
    subgradient: bool

    def has(self, name: str) -> bool:
        """Tell whether this penalty was tried."""
        return any(own.name == name for own in self.tried)


def why(evidence: Evidence, answer: Recommended) -> Why | None:
    """Return the section of a job that tried such a penalty, else None."""
    found = [_tried(evidence, row) for row in answer.penalties if row.trials]
    tried = tuple(own for own in found if own.name in EXPLAINED and own.strength > 0)
    if not tried:
        return None
    ridge = next((own for own in tried if own.name == "l2"), None)
    lasso = next((own for own in tried if own.name == "l1"), None)
    pulled = tuple(own for own in (lasso, ridge) if own is not None)
    return Why(
        title=_title(tried),
        tried=tried,
        others=tuple(own for own in found if own not in tried),
        pulled=pulled,
        pulls=tuple(
            Pull(f"{size:g}", tuple(number(_pull(own, size)) for own in pulled)) for size in SIZES
        ),
        landing=_landing(lasso),
        halving=_halving(ridge),
        subgradient=evidence.spec.l1_method == "subgradient",
    )


def _title(tried: tuple[Tried, ...]) -> str:
    labels = {own.name: own.label for own in tried}
    sparse = next((labels[name] for name in SETS_ZEROS if name in labels), None)
    if sparse is None:
        return "Why L2 gives no zeros"
    return f"Why {sparse} gives zeros" + (" and L2 doesn't" if "l2" in labels else "")


def _tried(evidence: Evidence, row: PenaltyRow) -> Tried:
    """Find the row's best trial among those that are shown."""
    trials = evidence.trials
    place = trials.number.index(row.number) if row.number in trials.number else None

    def param(name: str) -> float | None:
        own = trials.params.get(name)
        value = None if own is None or place is None else own[place]
        return value if isinstance(value, float) else None

    share = None if place is None else trials.nonzero_share[place]
    return Tried(
        name=row.penalty,
        label=penalty_row(row.penalty).label if row.penalty != UNPENALISED else "no penalty",
        strength=0.0 if place is None else trials.strength[place] or 0.0,
        rate=param("learning_rate"),
        l1_ratio=param("l1_ratio"),
        zero_share=None if share is None else max(0.0, 1 - share),
    )


def _pull(own: Tried, size: float) -> float:
    """Return the penalty's part of the gradient of a weight: λ of L1, 2 λ w of L2."""
    return own.strength if own.name == "l1" else 2 * own.strength * size


def _landing(own: Tried | None) -> str:
    """Say when L1 alone brings a small weight to zero."""
    if own is None:
        return ""
    rate = own.rate or STEP
    shrinks = rate * own.strength  # 0 where a float holds no number as small
    steps = MOST_STEPS if shrinks < 0.01 / MOST_STEPS else math.ceil(0.01 / shrinks)
    after = f"{steps:,}" if steps < MOST_STEPS else f"{MOST_STEPS:,} or more"
    return (
        f"With η = {rate:.3g} and no pull of the loss, a weight of 0.01 is at zero after {after} "
        "steps."
    )


def _halving(own: Tried | None) -> str:
    """Say how L2 alone shrinks a weight."""
    if own is None:
        return ""
    rate = own.rate or STEP
    kept = 1 - 2 * rate * own.strength
    if not 0 < kept < 1:
        return "Each step takes the same share of the weight."
    steps = math.ceil(math.log(0.5) / math.log(kept))
    return (
        f"With η = {rate:.3g} and no pull of the loss, any weight is half as large after "
        f"{steps:,} steps, a quarter after {2 * steps:,}, and never zero."
    )
