"""How much each parameter decides whether a trial is among the best: Optuna's PED-ANOVA."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ridgeway.plots.evidence import Trials

FEWEST = 20  # complete trials: two make the best tenth, and fewer tell nothing
MOST = 2000  # trials that are compared


def importance_of(trials: Trials, maximise: bool) -> Mapping[str, float]:
    """Return the share of each parameter that varies, the largest first; they add up to 1.

    Of a trial's being among the best tenth. Empty where fewer than 20 trials are complete, or no
    parameter tells any from the others. Source: Watanabe et al. (2023), and for parameters that
    only some trials have Yasunaga et al. (2026), as Optuna has them.
    """
    places = [
        place
        for place, (number, state) in enumerate(zip(trials.number, trials.state, strict=True))
        if state == "complete" and trials.value[place] is not None and number % trials.every == 0
    ]
    if len(places) < FEWEST:
        return {}
    import optuna  # slow: with its importances it loads what else there is, scikit-learn too
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a study of a moment is no news
    known = {
        name: optuna.distributions.json_to_distribution(text)
        for name, text in trials.distributions.items()
    }
    complete = [_frozen(trials, place, known) for place in places[:: math.ceil(len(places) / MOST)]]
    there = {name for trial in complete for name in trial.params if not known[name].single()}
    if not there:
        return {}
    study = optuna.create_study(direction="maximize" if maximise else "minimize")
    study.add_trials(complete)
    with warnings.catch_warnings():
        # Parameters that a few trials alone have are told to be inaccurate: they weigh little.
        warnings.simplefilter("ignore")
        evaluator = PedAnovaImportanceEvaluator()
        found = get_param_importances(study, evaluator=evaluator, params=sorted(there))
    return found if sum(found.values()) > 0 else {}


def _frozen(trials: Trials, place: int, known: Mapping[str, Any]) -> Any:
    import optuna

    columns = {"penalty": trials.penalty, "lambda": trials.strength, **trials.params}
    params = {
        name: columns[name][place]
        for name in known
        if name in columns and columns[name][place] is not None
    }
    return optuna.trial.create_trial(
        params=params,
        distributions={name: known[name] for name in params},
        value=trials.value[place],
    )
