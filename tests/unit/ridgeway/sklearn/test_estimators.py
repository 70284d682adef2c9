"""Estimators whose `fit` is a whole job: what they learn, keep, refuse and leave behind."""

from __future__ import annotations

import html
import pickle
import random
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from light import lighten
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import Lasso
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ridgeway
from ridgeway.errors import JobFailed, NotFound
from ridgeway.sklearn import RidgewayClassifier, RidgewayRegressor, RidgewayWarning

CANCER = load_breast_cancer(as_frame=True)
DIABETES = load_diabetes(as_frame=True)
FEW: dict[str, Any] = {"n_trials": 3, "penalties": ["l1", "l2"], "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore::ridgeway.sklearn.RidgewayWarning")


@pytest.fixture(scope="module", autouse=True)
def _light() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        lighten(patch)
        yield


@pytest.fixture(scope="module")
def classifier() -> RidgewayClassifier:
    """A classifier of named classes, by a search of a few trials."""
    names = CANCER.target_names[CANCER.target]
    return RidgewayClassifier(**FEW).fit(CANCER.data, pd.Series(names, name="tumour"))


@pytest.fixture(scope="module")
def regressor() -> RidgewayRegressor:
    """A regressor by a search of a few trials."""
    return RidgewayRegressor(**FEW).fit(DIABETES.data, DIABETES.target)


# --- the answer -----------------------------------------------------------------------------------


def test_a_classifier_predicts_the_labels_that_it_was_given(classifier: Any) -> None:
    names = CANCER.target_names[CANCER.target]
    assert classifier.score(CANCER.data, names) > 0.95
    assert list(classifier.classes_) == ["benign", "malignant"]
    shares = classifier.predict_proba(CANCER.data)
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.array_equal(shares.argmax(axis=1) == 0, classifier.predict(CANCER.data) == "benign")


def test_coefficients_are_in_the_tables_units(classifier: Any, regressor: Any) -> None:
    logits = CANCER.data.to_numpy() @ classifier.coef_[0] + classifier.intercept_
    assert np.allclose(1 / (1 + np.exp(-logits)), classifier.predict_proba(CANCER.data)[:, 1])
    told = DIABETES.data.to_numpy() @ regressor.coef_ + regressor.intercept_
    assert np.allclose(told, regressor.predict(DIABETES.data))


def test_one_strength_of_l1_is_scikit_learns_lasso_on_the_rows_that_are_not_sealed() -> None:
    x, y = DIABETES.data, DIABETES.target
    model = RidgewayRegressor(
        penalties="l1", n_trials=1, random_state=0, spec={"search": {"lambda": 0.1}}
    ).fit(x, y)
    # Which rows are sealed is drawn from the seed alone: nothing else does it here.
    chosen = model.job_.recommended.simplest
    assert chosen.params == {"penalty": "l1", "lambda": 0.1}
    from workers.data.prepare import prepare

    spec = model.job_.spec
    development = prepare(spec, x.assign(target=y)).splits.development
    own = x.iloc[development]
    scale = own.std(ddof=0)
    alpha = chosen.equivalents["sklearn_raw_target"]["alpha"]
    lasso = Lasso(alpha=alpha, tol=1e-10, max_iter=100_000)
    lasso.fit((own - own.mean()) / scale, y.iloc[development])
    assert np.allclose(model.coef_ * scale, lasso.coef_, atol=0.02)
    assert np.array_equal(model.coef_ == 0, lasso.coef_ == 0)


def test_the_answer_is_kept_in_scikit_learns_words(classifier: Any) -> None:
    results = classifier.cv_results_
    assert len(results["params"]) == 3
    assert (
        results["mean_test_score"].max()
        == results["mean_test_score"][results["rank_test_score"].argmin()]
    )
    folds = np.array([results[f"split{fold}_test_score"] for fold in range(5)])
    assert np.allclose(folds.mean(axis=0), results["mean_test_score"])
    assert classifier.best_params_ in results["params"]
    assert classifier.verdict_ == classifier.job_.recommended.verdict
    assert classifier.checks_ == classifier.job_.recommended.checks
    assert {each.name for each in classifier.features_.features} == set(CANCER.data.columns)
    assert classifier.path_.penalty in ("l1", "l2")
    assert classifier.job_.spec.target == "tumour"


def test_the_study_is_optunas_with_every_trial(regressor: Any) -> None:
    study = regressor.study_
    assert isinstance(study, optuna.Study)
    assert study.best_value == pytest.approx(-regressor.cv_results_["mean_test_score"].max())
    assert [trial.params for trial in study.trials] == regressor.cv_results_["params"]
    assert all(trial.intermediate_values for trial in study.trials)
    study.tell(study.ask(study.trials[0].distributions), 1.0)  # goes on as any other
    assert len(study.trials) == 4


def test_the_kept_model_is_the_file_that_load_model_reads(classifier: Any) -> None:
    copy = pickle.loads(pickle.dumps(classifier))
    assert np.array_equal(copy.predict_proba(CANCER.data), classifier.predict_proba(CANCER.data))
    assert copy.study_.best_value == classifier.study_.best_value


def test_the_report_is_one_page_with_the_verdict(classifier: Any, tmp_path: Path) -> None:
    classifier.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    words = html.unescape(re.sub("<[^>]+>", "", page))
    assert " ".join(classifier.verdict_.sentence.split()) in " ".join(words.split())


def test_plots_are_shown_in_notebooks_and_saved(classifier: Any, tmp_path: Path) -> None:
    picture = classifier.plot("penalties")
    assert picture._repr_mimebundle_()["image/svg+xml"].startswith("<svg")
    picture.save(tmp_path / "penalties.svg")
    assert (tmp_path / "penalties.svg").read_bytes() == picture.content
    with pytest.raises(ValueError, match="no plot 'pie'; accepted: path, penalties"):
        classifier.plot("pie")
    with pytest.raises(NotFound, match="nothing to draw as 'importance'"):
        classifier.plot("importance")  # of three trials


def test_equal_seeds_give_equal_models_and_others_do_not(regressor: Any) -> None:
    x, y = DIABETES.data, DIABETES.target
    again = clone(regressor).fit(x, y)
    assert np.array_equal(again.coef_, regressor.coef_)
    other = clone(regressor).set_params(random_state=1).fit(x, y)
    assert not np.array_equal(other.coef_, regressor.coef_)


# --- rows as people have them ---------------------------------------------------------------------


def shop(rows: int = 120) -> tuple[pd.DataFrame, Any]:
    """Rows with categories, numbers marked as such, booleans and gaps."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, rows),
            "city": pd.Series(rng.choice(["Oslo", "Bergen"], rows)),
            "floor": pd.Categorical(rng.choice([1, 2, 3], rows)),
            "member": rng.random(rows) < 0.5,
        }
    )
    target = (frame["age"] - 40) / 10 + 2 * (frame["city"] == "Oslo") + rng.normal(0, 0.3, rows)
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "city"] = None
    return frame, target


def test_categories_and_gaps_are_part_of_the_model() -> None:
    x, y = shop()
    model = RidgewayRegressor(**FEW).fit(x, y)
    assert {"city=Oslo", "city missing", "age missing", "floor=2", "member=true"} <= {
        *model.model_.encoded_names_
    }
    assert model.score(x, y) > 0.5
    new = x.head(3).assign(city=["Oslo", "Bergen", "Paris"], age=[40.0, np.nan, 40.0])
    first, second, _ = model.predict(new)
    assert first > second + 1  # Oslo's 2 against Bergen's 0


def test_an_arrow_table_and_a_frame_are_the_same_rows() -> None:
    import pyarrow as pa

    x, y = shop()
    x = x.drop(columns="floor")
    frame, table = (RidgewayRegressor(**FEW).fit(own, y) for own in (x, pa.table(x)))
    assert np.array_equal(frame.predict(x), table.predict(pa.table(x)))


@pytest.mark.parametrize(
    "labels", [[False, True], [3, 7], ["no", "yes"], [0.0, 1.0], [10, 9]], ids=str
)
def test_classes_of_any_kind_come_back_as_they_were(labels: list[Any]) -> None:
    x = np.random.default_rng(0).normal(size=(60, 1))
    y = np.array(labels)[(x[:, 0] > 0).astype(int)]
    model = RidgewayClassifier(**FEW).fit(x, y)
    predicted = model.predict(x)
    assert predicted.dtype == y.dtype
    assert (predicted == y).mean() > 0.9


def test_rows_that_weigh_nothing_are_as_if_they_were_not_there() -> None:
    x, y = DIABETES.data, DIABETES.target
    weights = np.where(np.arange(len(x)) < 300, 2.0, 0.0)
    weighed = RidgewayRegressor(**FEW).fit(x, y, sample_weight=weights)
    fewer = RidgewayRegressor(**FEW).fit(x[:300], y[:300])
    assert np.array_equal(weighed.coef_, fewer.coef_)


def test_weights_move_the_model() -> None:
    x = np.arange(100.0)[:, None] % 10
    y = np.where(np.arange(100) % 2, x[:, 0], -x[:, 0])
    weights = np.where(np.arange(100) % 2, 20.0, 1.0)
    model = RidgewayRegressor(**FEW, spec={"search": {"lambda": 1e-6}})
    assert model.fit(x, y, sample_weight=weights).coef_[0] > 0.5


def test_rows_of_a_group_stay_in_one_split() -> None:
    x, y = DIABETES.data, DIABETES.target
    groups = np.arange(len(x)) // 4
    model = RidgewayRegressor(**FEW).fit(x, y, groups=groups)
    assert model.job_.spec.groups == "group"
    assert "group" not in model.model_.feature_names_in_


# --- few rows -------------------------------------------------------------------------------------


def test_few_rows_get_fewer_folds_and_are_told() -> None:
    x, y = DIABETES.data[:12], DIABETES.target[:12]
    with pytest.warns(RidgewayWarning, match="the job has 5 folds"):
        model = RidgewayRegressor(**FEW, cv=10).fit(x, y)
    assert model.job_.spec.validation.folds == 5
    assert any("5 folds" in note for note in model.job_.warnings)


def test_a_class_that_can_not_be_split_is_left_out_and_told() -> None:
    x, y = load_wine(return_X_y=True)
    y = y.astype(object)
    y[:2] = 9
    with pytest.warns(RidgewayWarning, match=r"classes 9 have too few rows"):
        model = RidgewayClassifier(**FEW).fit(x, y.astype(int))
    assert list(model.classes_) == [0, 1, 2, 9]
    shares = model.predict_proba(x)
    assert (shares[:, 3] == 0).all()
    assert model.score(x[2:], y[2:].astype(int)) > 0.9


def test_noise_is_answered_by_the_constant_and_told() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 3)), rng.normal(size=100)
    with pytest.warns(RidgewayWarning, match="the constant is recommended"):
        model = RidgewayRegressor(**FEW).fit(x, y)
    assert model.best_params_ == {}
    assert (model.coef_ == 0).all()


# --- among scikit-learn's tools -------------------------------------------------------------------


def test_it_goes_through_pipelines_and_searches() -> None:
    x, y = DIABETES.data, DIABETES.target
    few = RidgewayRegressor(n_trials=1, penalties="l2", random_state=0)
    scores = cross_val_score(make_pipeline(StandardScaler(), few), x, y, cv=2)
    assert (scores > 0.3).all()
    grid = GridSearchCV(few, {"penalties": ["l1", "none"]}, cv=2, refit=False).fit(x, y)
    assert (grid.cv_results_["mean_test_score"] > 0.3).all()
    assert "RidgewayRegressor" in few._repr_html_()
    framed = make_pipeline(StandardScaler(), few).set_output(transform="pandas").fit(x, y)
    assert list(framed[-1].feature_names_in_) == list(x.columns)


def test_further_fields_of_a_spec_reach_the_job() -> None:
    x, y = DIABETES.data, DIABETES.target
    model = RidgewayRegressor(
        **FEW, loss="huber", cv={"kind": "holdout", "fraction": 0.25}, spec={"rule": "best"}
    ).fit(x, y)
    assert model.job_.spec.loss.kind == "huber"
    assert model.job_.spec.validation.kind == "holdout"
    assert model.job_.spec.rule == "best"


def test_a_net_is_trained_by_its_name() -> None:
    x, y = load_wine(return_X_y=True)
    net = {"kind": "mlp", "hidden": [8]}
    model = RidgewayClassifier(net, n_trials=2, random_state=0, spec={"epochs": 20}).fit(x, y)
    assert model.model_.description.kind == "mlp" or model.best_params_ == {}
    assert not hasattr(model, "coef_") or model.best_params_ == {}


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalties": "l9"}, r"penalties.*accepted: none, l1"),
        ({"n_trials": 0}, "n_trials: "),
        ({"cv": 1}, r"cv\.folds: "),
        ({"objective": "roc_auc"}, "objective: "),
        ({"model": "nets"}, r"model\.kind: is a model that no worker offers"),
        ({"n_jobs": 0}, "n_jobs: must be a whole number"),
        ({"timeout": -1}, "timeout: "),
        ({"device": "tpu"}, "device: must be auto"),
        ({"spec": {"trials": 5}}, "use n_trials"),
        ({"spec": {"target": "y"}}, "use y"),
        ({"spec": {"colour": "red"}}, r"spec\.colour: unknown field"),
    ],
    ids=str,
)
def test_a_parameter_that_can_not_be_is_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RidgewayRegressor(**{**FEW, **parameters}).fit(DIABETES.data, DIABETES.target)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([[1]] * 120, "of type list"),
        ([np.inf] * 120, "is infinite"),
    ],
    ids=["lists", "infinities"],
)
def test_a_column_that_can_not_be_is_named(column: Any, message: str) -> None:
    x, y = shop()
    with pytest.raises(ValueError, match=message):
        RidgewayRegressor(**FEW).fit(x.assign(odd=column), y)


def test_a_job_without_an_answer_ends_in_its_own_words() -> None:
    x, y = load_wine(return_X_y=True)
    with pytest.raises(JobFailed, match="would hold no row of class"):
        RidgewayClassifier(**FEW).fit(x, y, groups=y)


# --- what is left behind --------------------------------------------------------------------------


def state_of_the_process() -> list[Any]:
    drawn = np.random.get_state()
    return [
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        [part.tolist() if isinstance(part, np.ndarray) else part for part in drawn],
        sorted(Path(tempfile.gettempdir()).glob("ridgeway-*")),
    ]


def test_a_fit_leaves_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any, capfd: Any
) -> None:
    # Whatever a service on this machine is told: a fit has a folder of its own.
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    torch.set_num_threads(2)
    before = state_of_the_process()
    try:
        RidgewayRegressor(**FEW).fit(DIABETES.data, DIABETES.target)
        assert state_of_the_process() == before
    finally:
        torch.set_num_threads(1)
    assert not [record for record in caplog.records if record.levelname != "INFO"]
    assert capfd.readouterr() == ("", "")


def test_a_kept_folder_holds_study_and_model(tmp_path: Path) -> None:
    x, y = DIABETES.data, DIABETES.target
    models = [RidgewayRegressor(**FEW, data_dir=tmp_path / "kept").fit(x, y) for _ in range(2)]
    names = optuna.get_all_study_names(f"sqlite:///{tmp_path / 'kept' / 'ridgeway.db'}")
    assert set(names) == {model.job_.id for model in models}
    (file, _) = (tmp_path / "kept" / "store" / "jobs").rglob("model.safetensors")
    assert np.allclose(ridgeway.load_model(file).predict(x), models[0].predict(x))
    assert models[1].study_.best_value == models[0].study_.best_value
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    # The second looked at the same sealed rows as the first: that is told.
    assert ["seal_seen_before" in {each.code for each in own.checks_} for own in models] == [
        False,
        True,
    ]


def test_a_bar_is_shown_when_asked_for(capsys: Any) -> None:
    RidgewayRegressor(**FEW, verbose=1).fit(DIABETES.data, DIABETES.target)
    assert "succeeded: 3/3 trials" in capsys.readouterr().err


def test_a_notebook_has_a_bar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Display:
        def update(self, html: Any) -> None:
            shown.append(html.data)

    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=True))
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: Display())
    RidgewayRegressor(**FEW, verbose=1).fit(DIABETES.data, DIABETES.target)
    assert 'value="1.0000"' in shown[-1]


def test_time_that_is_up_ends_the_search() -> None:
    model = RidgewayRegressor(n_trials=100_000, timeout=1.0, random_state=0)
    with pytest.warns(RidgewayWarning, match="ran out of its 1 s"):
        model.fit(DIABETES.data, DIABETES.target)
    assert 0 < len(model.cv_results_["params"]) < 100_000


def test_what_was_not_fitted_has_no_answer() -> None:
    for name in ("coef_", "study_", "verdict_"):
        assert not hasattr(RidgewayClassifier(), name)
