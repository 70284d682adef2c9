"""`lambda: "auto"` for nets: a few are trained to see from which strength on they collapse.

Zero weights are stationary for a deep net, so λ_max has no closed form: what makes a net collapse
depends on its size, on the learning rate and on the budget of steps (docs/decisions/auto-range.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ridgeway.spec.dimensions import Dimension
from ridgeway.spec.names import UNPENALISED, PenaltyName
from ridgeway.spec.space import dimensions, quantile
from ridgeway.spec.spec import JobSpec
from workers.models.building import predict
from workers.objectives.constant import explained_share
from workers.penalties.base import Penalty
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.watch import Watch
from workers.train import refit

UNPROBED = (1e-6, 1e-1)
BELOW = 1e-4  # the low end, as a share of the high one

FINE = tuple(float(f"{10 ** (step / 3 - 5):.3g}") for step in range(19))  # 1e-5 to 10
COARSE = FINE[::3]
RATES = 3  # learning rates of the fine probe; the coarse one has one
FINE_SHARE = 0.03  # of the models that the job plans to train: the most that a probe may add
COARSE_SHARE = 0.1  # the same for a small job, whose range is not probed at all beyond it

LEAST_EXPLAINED = 1e-3  # of the constant predictor's loss: less tells nothing
TELLING = 0.1  # a learning rate counts if its unpenalised net explains this share of the most
COLLAPSED = 0.01  # a net has collapsed if it explains less than this share of the most
# How far the high end lies from the last survivor to the first collapse, in logarithms. They are a
# decade apart at most: if nets collapse right above the survivor, a twelfth of the range is lost.
BEYOND = 1 / 3


@dataclass(frozen=True)
class StrengthRange:
    """The lowest and highest λ to search, and what the job should warn of.

    placed: the strengths of a path, from the strongest down, where they are not evenly spaced.
    """

    low: float
    high: float
    warnings: tuple[str, ...] = ()
    placed: tuple[float, ...] = ()


def fixed_range(scale: float) -> tuple[float, float]:
    """Return the range of a job whose nets are not probed; scale: its penalty's `probe_scale`."""
    low, high = (float(f"{scale * end:.3g}") for end in UNPROBED)
    return low, high


def unprobed(reason: str, scale: float) -> StrengthRange:
    """Return the range of a job whose probe found nothing out, and the warning why."""
    low, high = fixed_range(scale)
    return StrengthRange(low, high, (f'"auto" searches λ from {low:g} to {high:g}: {reason}',))


def probe_range(problem: Problem, watch: Watch | None = None) -> StrengthRange:
    """Return a range up to a little more than the highest λ below which no probed net collapses.

    Its low end is 1e-4 of that. One population is trained on the training rows of the problem's
    only fold as a trial would be, and judged by those rows. The fixed range without a warning where
    the job is too small or searches no penalty. JobUnrunnable where the model can't be trained.
    """
    (fold,), outputs = problem.folds, problem.outputs
    members = probe_members(problem.spec)
    if not members:
        return StrengthRange(*fixed_range(probed_penalty(problem.spec).probe_scale))
    spec = problem.spec.model_copy(update={"early_stopping": None})
    models = refit(replace(problem, spec=spec), members, watch=watch)
    explained = [
        math.nan
        if models.diverged_at[number]
        else explained_share(
            spec,
            predict(spec, models.parameters(number, 0), fold.train_inputs, outputs),
            fold.train_targets,
            fold.train_weights,
        )
        for number in range(len(members))
    ]
    return range_from(members, explained)


# --- what is trained --------------------------------------------------------------------------


def probe_members(spec: JobSpec) -> list[Configuration]:
    """Return the nets to train: at each learning rate one without penalty and some with a penalty.

    The penalty is the searched one that makes nets collapse first; strengths are dealt to the
    learning rates in turn. No nets are returned where a probe would cost too much.
    """
    penalty = probed_penalty(spec)
    rate = spec.search.learning_rate
    planned = spec.trials * spec.folds
    if not penalty.probe_priority or rate is None or planned * COARSE_SHARE < len(COARSE) + 1:
        return []
    fine = planned * FINE_SHARE >= len(FINE) + RATES
    rates = learning_rates(rate, RATES if fine else 1)
    strengths = FINE if fine else COARSE
    free = [_member(spec, UNPENALISED, 0.0, each) for each in rates]
    return free + [
        _member(spec, penalty.name, penalty.probe_scale * strength, rates[place % len(rates)])
        for place, strength in enumerate(strengths)
    ]


def probed_penalty(spec: JobSpec) -> Penalty:
    """Return the searched penalty that makes nets collapse first."""
    return max((PENALTIES[name] for name in spec.search.penalty), key=_priority)


def _priority(penalty: Penalty) -> float:
    return penalty.probe_priority


def learning_rates(dimension: Dimension, count: int) -> list[float]:
    """Return the middles of `count` equal parts of the dimension, each once."""
    middles = (quantile(dimension, (part + 0.5) / count) for part in range(count))
    return list(dict.fromkeys(middles))


def middle_member(spec: JobSpec, strength: float) -> Configuration:
    """Return a net of the probed penalty, in the middle of all else that the job searches."""
    rate = spec.search.learning_rate
    middle = 0.0 if rate is None else quantile(rate, 0.5)
    return _member(spec, probed_penalty(spec).name, strength, middle)


def _member(spec: JobSpec, penalty: PenaltyName, strength: float, rate: float) -> Configuration:
    """Return a net whose other hyperparameters are the middles of what the job searches."""
    middles: dict[str, float | str] = {
        name: quantile(dimension, 0.5)
        for name, dimension in dimensions(spec.search).items()
        if not isinstance(dimension, str)
    }
    own = {"penalty": penalty, "lambda": strength, "learning_rate": rate}
    return Configuration.from_params(spec, middles | own)


# --- what it tells ----------------------------------------------------------------------------


def range_from(members: Sequence[Configuration], explained: Sequence[float]) -> StrengthRange:
    """Return the range that the members' explained shares suggest; NaN where a member diverged."""
    free = {
        member.learning_rate: share
        for member, share in zip(members, explained, strict=True)
        if member.penalty == UNPENALISED
    }
    scale = max((PENALTIES[member.penalty].probe_scale for member in members), default=1.0)
    most = max((share for share in free.values() if not math.isnan(share)), default=0.0)
    if most < LEAST_EXPLAINED:
        return unprobed("without a penalty no probed net did better than a constant", scale)
    survived: list[float] = []
    critical = math.inf
    for rate in (rate for rate, share in free.items() if share >= TELLING * most):
        alive, collapsed = _fates(members, explained, rate, COLLAPSED * most)
        critical = min(critical, min(collapsed, default=math.inf))
        survived += alive
    strongest = max((strength for strength in survived if strength < critical), default=None)
    if strongest is None:
        weakest = "every probed net collapsed or diverged, even the most weakly penalised one"
        return unprobed(weakest, scale)
    if math.isinf(critical):
        unbounded = f'no net collapsed under a λ of up to {strongest:g}: "auto" searches no further'
        return _range_up_to(strongest, (unbounded,))
    return _range_up_to(strongest * (critical / strongest) ** BEYOND)


def _fates(
    members: Sequence[Configuration], explained: Sequence[float], rate: float, least: float
) -> tuple[list[float], list[float]]:
    """Return the strengths at which nets of a learning rate survived, and collapsed beyond them.

    least: the share that a net which has not collapsed explains.
    """
    seen = [
        (member.strength, share >= least)
        for member, share in zip(members, explained, strict=True)
        if member.penalty != UNPENALISED and member.learning_rate == rate and not math.isnan(share)
    ]
    alive = [strength for strength, well in seen if well]
    above = max(alive, default=0.0)  # weaker ones that failed did so for another reason
    return alive, [strength for strength, well in seen if not well and strength > above]


def _range_up_to(high: float, warnings: tuple[str, ...] = ()) -> StrengthRange:
    """Return the range below a high end.

    Its ends are rounded, so that the last bit of a machine's logarithm changes no distribution.
    """
    return StrengthRange(float(f"{BELOW * high:.3g}"), float(f"{high:.3g}"), warnings)
