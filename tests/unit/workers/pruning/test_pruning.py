"""Populations are pruned as Optuna's own pruners would prune their members one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import get_args

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from ridgeway.jobs.sizes import Sizes, population_size
from ridgeway.spec.names import Pruner as PrunerName
from ridgeway.spec.wording import parse_spec
from workers.pruning.pruner import Pruner, pruner_of
from workers.pruning.reports import Reports, reports_of
from workers.pruning.rules import RULES, HalvingRule, MedianRule, rule_of

EPOCHS = 9
POINTS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, float("nan"), float("inf"), -float("inf")])
CURVES = st.lists(POINTS, min_size=EPOCHS, max_size=EPOCHS)
POPULATIONS = st.lists(st.lists(CURVES, min_size=1, max_size=7), min_size=1, max_size=4)


@st.composite
def median_rules(draw: st.DrawFn) -> tuple[MedianRule, BasePruner]:
    given = (draw(st.integers(0, 6)), draw(st.integers(0, 4)), draw(st.integers(1, 4)))
    return MedianRule(*given), MedianPruner(*given)


@st.composite
def halving_rules(draw: st.DrawFn) -> tuple[HalvingRule, BasePruner]:
    given = (draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(0, 1)))
    return HalvingRule(*given), SuccessiveHalvingPruner(*given)


def stock_run(
    pruner: BasePruner, populations: list[list[list[float]]], maximise: bool
) -> Iterator[tuple[int, set[int]]]:
    """Yield Optuna's decisions: every epoch each live trial reports and is asked in turn."""
    study = optuna.create_study(direction="maximize" if maximise else "minimize", pruner=pruner)
    for population in populations:
        live = {trial.number: trial for trial in [study.ask() for _ in population]}
        curves = dict(zip(live, population, strict=True))
        for epoch in range(1, EPOCHS):
            ended = set()
            for number, trial in live.items():
                trial.report(curves[number][epoch - 1], epoch)
                if trial.should_prune():
                    ended.add(number)
            yield epoch, ended
            for number in ended:
                study.tell(live.pop(number), state=TrialState.PRUNED)
        for number, trial in live.items():
            _tell(study, trial, curves[number][-1])


def _tell(study: optuna.Study, trial: optuna.Trial, value: float) -> None:
    """End a trial; a last value that is no number makes it fail, as with us."""
    if np.isfinite(value):
        study.tell(trial, value)
    else:
        study.tell(trial, state=TrialState.FAIL)


def our_run(
    rule: MedianRule | HalvingRule, populations: list[list[list[float]]], maximise: bool
) -> Iterator[tuple[int, set[int]]]:
    """Yield our decisions for whole populations, whose own reports come back as well."""
    rungs = rule.rungs(EPOCHS)
    reports = Reports(rungs)
    pruner = Pruner(rule, reports, maximise)
    first = 0
    for population in populations:
        live = dict(enumerate(population, start=first))
        first += len(population)
        for epoch in range(1, EPOCHS):
            so_far = {number: curve[:epoch] for number, curve in live.items()}
            # Committed reports come back with the next look; no trial is its own rival.
            for number, curve in so_far.items():
                reports.take(number, TrialState.RUNNING, {epoch: curve[-1]})
            ended = pruner.decide(epoch, so_far) if epoch in rungs else set()
            yield epoch, ended
            for number in ended:
                reports.take(number, TrialState.PRUNED, {})
                del live[number]
        for number, curve in live.items():
            finite = np.isfinite(curve[-1])
            reports.take(number, TrialState.COMPLETE if finite else TrialState.FAIL, {})


@pytest.fixture(autouse=True)
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna's warnings of curves that are all NaN, which are data here."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@settings(max_examples=50)
@given(rules=median_rules(), populations=POPULATIONS, maximise=st.booleans())
def test_the_median_rule_decides_as_optunas_pruner(rules, populations, maximise):
    ours, theirs = rules
    assert list(our_run(ours, populations, maximise)) == list(
        stock_run(theirs, populations, maximise)
    )


@settings(max_examples=50)
@given(rules=halving_rules(), populations=POPULATIONS, maximise=st.booleans())
def test_the_halving_rule_decides_as_optunas_pruner(rules, populations, maximise):
    ours, theirs = rules
    assert list(our_run(ours, populations, maximise)) == list(
        stock_run(theirs, populations, maximise)
    )


@pytest.mark.parametrize("maximise", [False, True])
@pytest.mark.parametrize(
    ("rule", "pruner"),
    [
        (MedianRule(5, 1, 1), MedianPruner(5, 1, 1)),
        (HalvingRule(1, 2, 0), SuccessiveHalvingPruner(1, 2, 0)),
    ],
)
def test_growing_populations_of_smooth_curves_are_pruned_alike(rule, pruner, maximise):
    chance = np.random.default_rng(3)
    populations = [
        (chance.uniform(0, 1, (size, 1)) + np.exp(-np.arange(EPOCHS))).tolist()
        for size in (4, 8, 16, 32)
    ]
    ours = list(our_run(rule, populations, maximise))
    assert ours == list(stock_run(pruner, populations, maximise))
    ended = sum(len(numbers) for _, numbers in ours)
    assert 15 <= ended < 60


def test_members_are_compared_with_those_before_them_at_the_same_rung():
    pruner = Pruner(HalvingRule(1, 4, 0), Reports([1, 4]), maximise=False)
    # Each is the best so far but the third.
    assert pruner.decide(1, {7: [0.4], 8: [0.3], 9: [0.35], 10: [0.1]}) == {9}
    # The same four in another order: the first is the best of all.
    assert pruner.decide(1, {7: [0.1], 8: [0.35], 9: [0.3], 10: [0.4]}) == {8, 9, 10}


def test_a_trial_is_not_its_own_rival_when_it_is_trained_again():
    reports = Reports([1])
    pruner = Pruner(HalvingRule(1, 2, 0), reports, maximise=False)
    for number, value in enumerate([0.5, 0.4, 0.3]):
        reports.take(number, TrialState.RUNNING, {1: value})
    curves = {0: [0.5], 1: [0.4], 2: [0.3]}
    fresh = Pruner(HalvingRule(1, 2, 0), Reports([1]), maximise=False)
    assert pruner.decide(1, curves) == fresh.decide(1, curves)


def test_nothing_is_decided_at_the_last_epoch():
    assert MedianRule(5, 0, 1).rungs(4) == [1, 2, 3]
    assert HalvingRule(1, 4, 0).rungs(16) == [1, 4]
    assert HalvingRule(1, 4, 0).rungs(17) == [1, 4, 16]
    assert MedianRule().rungs(1) == HalvingRule().rungs(1) == []


def test_the_spec_names_the_rule_and_its_epochs_set_the_rungs():
    def rungs(pruner: str, epochs: int) -> list[int]:
        rule = rule_of(parse_spec({"dataset": "digits", "pruner": pruner, "epochs": epochs}))
        assert rule is not None
        return rule.rungs(epochs)

    assert rungs("median", 30) == [3, 6, 9, 12, 15, 18, 21, 24, 27]
    assert rungs("median", 5) == [1, 2, 3, 4]
    assert rungs("halving", 30) == [1, 4, 16]
    assert rungs("halving", 1000) == [10, 40, 160, 640]
    assert {"none", *RULES} == set(get_args(PrunerName))
    none = parse_spec({"dataset": "digits"})
    assert pruner_of(none, reports_of(none)) is None


@pytest.mark.parametrize("objective", ["loss", "accuracy"])
def test_the_objective_says_which_end_of_a_population_goes(objective):
    spec = parse_spec(
        {"dataset": "digits", "pruner": "median", "epochs": 4, "objective": objective}
    )
    reports = reports_of(spec)
    for number in range(6):
        reports.take(number, TrialState.COMPLETE, {1: number / 5})
    pruner = pruner_of(spec, reports)
    assert pruner is not None
    assert pruner.decide(1, {6: [0.2], 7: [0.8]}) == ({7} if objective == "loss" else {6})


@pytest.mark.parametrize("trials", [20, 64, 200, 1000, 100_000])
def test_at_most_a_third_of_the_trials_are_handed_out_before_there_is_something_to_compare_with(
    trials,
):
    startup = MedianRule().n_startup_trials
    sizes, handed_out = [], 0
    while handed_out < startup:
        sizes.append(population_size(trials, Sizes(4, 64), len(sizes)))
        handed_out += sizes[-1]
    # What one worker claims until the median rule has its complete trials.
    assert handed_out <= max(12, trials // 3)
    assert handed_out / trials <= 1 / 3


def test_reports_take_trials_in_any_order_and_forget_nothing():
    reports = Reports([1, 4])
    for number in (130, 2, 70, *range(200, 400)):
        reports.take(number, TrialState.RUNNING, {1: float(number), 2: -1.0})
    reports.take(2, TrialState.COMPLETE, {4: 0.5})
    assert len(reports) == 203
    first, complete = reports.at(1, without=[70, 5])
    assert sorted(first.tolist()) == sorted([130.0, 2.0, *map(float, range(200, 400))])
    assert first[complete].tolist() == [2.0]
    fourth, _ = reports.at(4, without=[])
    assert np.isnan(fourth).sum() == 202
