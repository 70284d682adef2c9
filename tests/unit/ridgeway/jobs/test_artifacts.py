"""Which file holds the model of which role."""

from __future__ import annotations

from scripted import make_answered_job

from ridgeway.answers import Debias, LinearRival, Recommended
from ridgeway.jobs.artifacts import BASELINE, LINEAR, MODEL, model_names, trial_model

DEBIAS = Debias(
    penalised=None,
    debiased=None,
    difference=None,
    interval=None,
    p=None,
    features=None,
    nonzero_weights=1,
    sealed_penalised=None,
    sealed_debiased=None,
)


def an_answer(**changes: object) -> Recommended:
    """Return an answer whose trials are 9 (simplest), 17 (best) and 3 (none), with changes."""
    answer = make_answered_job().recommended
    assert answer is not None
    return answer.model_copy(update=changes)


def test_the_recommended_trials_model_is_kept_once() -> None:
    names = model_names(an_answer())
    assert names == {
        "recommended": MODEL,
        "simplest": MODEL,
        "best": trial_model(17),
        "none": trial_model(3),
        "baseline": BASELINE,
    }
    same = model_names(an_answer(best=an_answer().simplest, none=None))
    assert same == {
        "recommended": MODEL,
        "simplest": MODEL,
        "best": MODEL,
        "baseline": BASELINE,
    }


def test_a_debiased_model_and_the_constant_are_no_trials() -> None:
    assert model_names(an_answer(debias=DEBIAS))["simplest"] == trial_model(9)
    names = model_names(an_answer(choice="baseline"))
    assert (names["recommended"], names["baseline"]) == (MODEL, MODEL)
    assert names["simplest"] == trial_model(9)


def test_a_net_has_a_linear_model_beside_it() -> None:
    rival = LinearRival(strength=0.1, value=1.0, standard_error=None, features=3)
    assert model_names(an_answer(linear=rival))["linear"] == LINEAR
