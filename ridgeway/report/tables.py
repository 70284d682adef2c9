"""The tables of a report: rows of cells, numbers written as a person does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ridgeway.answers import Chosen, Confirmation, Recommended
from ridgeway.features import Features
from ridgeway.paths import RegularisationPath
from ridgeway.plots.evidence import Evidence
from ridgeway.report.verdict import RIVALS, named, objective_of, risk
from ridgeway.spec.columns import JobKind
from ridgeway.spec.losses import objective_label
from ridgeway.spec.names import OBJECTIVE_ROWS, penalty_row
from ridgeway.spec.profiles import DatasetProfile
from ridgeway.words import extent, mean_count, number

MOST_FEATURES = 60
MOST_COLUMNS = 200
MOST_STRENGTHS = 40


@dataclass(frozen=True)
class Row:
    """Cells by column; `strong` is what is recommended, `penalty` gives the row its colour."""

    cells: Sequence[str]
    strong: bool = False
    penalty: str | None = None


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first `texts` columns are words, the others numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    texts: int = 1
    note: str = ""


def models(evidence: Evidence, answer: Recommended) -> Table:
    """Show the recommended model beside its rivals: values of the search, scores of sealed rows."""
    test, spec = answer.test, evidence.spec
    tested, loss = OBJECTIVE_ROWS[test.metric].label, objective_label("loss", spec.loss_name)
    sealed = [f"{tested}, sealed"] + ([] if tested == loss else [f"{loss}, sealed"])
    objective = f"{objective_of(spec)}, validation"
    looks = "once" if test.evaluations == 1 else f"{test.evaluations} times"
    note = (
        f"Validation: mean ± standard error. {test.rows} sealed rows, opened {looks}, after the "
        "search."
    )
    return Table(
        "The models beside each other",
        ["Model", objective, *sealed, "Nonzero weights", "Features"],
        [*_searched(answer, len(sealed)), *_rivals(answer, len(sealed))],
        note=note,
    )


def _searched(answer: Recommended, scores: int) -> Iterator[Row]:
    """Show the trials that the answer names."""
    roles: list[tuple[str, Chosen | None]] = [
        ("simplest", answer.simplest),
        ("best", answer.best),
        ("none", answer.none),
    ]
    for role, own in roles:
        if own is not None:
            label = "No penalty" if role == "none" else f"{role.capitalize()}: {named(own)}"
            value = _with_error(own.value, own.standard_error)
            cells = [label, value, *_scores(answer, role)[:scores], *_size(own)]
            yield Row(cells, role == answer.choice, str(own.params.get("penalty")))


def _rivals(answer: Recommended, scores: int) -> Iterator[Row]:
    """Show the plain linear model, where it is a rival, and the constant."""
    linear, base = answer.linear, answer.baseline
    if linear is not None:
        value = _with_error(linear.value, linear.standard_error)
        cells = _scores(answer, "linear")[:scores]
        yield Row(["Linear, L2", value, *cells, "", str(linear.features)])
    value = _with_error(base.validation, base.standard_error)
    cells = ["The constant", value, *_scores(answer, "baseline")[:scores], "", ""]
    yield Row(cells, answer.choice == "baseline")


def _scores(answer: Recommended, role: str) -> list[str]:
    """Return a role's score on the sealed rows, and its loss."""
    return [number(getattr(answer.test, role)), number(answer.test.loss.get(role))]


def _size(own: Chosen) -> list[str]:
    features = "" if own.selected_features is None else str(own.selected_features)
    if own.refit_nonzero_weights is None:
        return ["refit diverged", features]
    return [f"{own.refit_nonzero_weights:,} of {own.weights:,}", features]


def comparisons(answer: Recommended) -> Table | None:
    """Show the paired differences of what is recommended to each rival."""
    if not answer.comparisons:
        return None
    columns = [
        "Against",
        "Difference",
        "95 %",
        "p",
        "Shown with 80 %",
        "On sealed rows",
        "98 %",
        "Claimed",
    ]
    rows = [
        Row(
            [
                RIVALS[own.rival][:1].upper() + RIVALS[own.rival][1:],
                number(own.difference),
                _interval(own.interval),
                risk(own).removeprefix("p = ").removeprefix("p "),
                number(own.detectable),
                number(own.sealed_difference),
                _interval(own.sealed_interval),
                "yes" if own.claimed else "no",
            ]
        )
        for own in answer.comparisons
    ]
    note = (
        f"Differences on {answer.comparisons[0].folds} fresh folds, pairwise; above 0 they speak "
        "for what is recommended. Corrected resampled t-test (Nadeau and Bengio 2003). Claimed "
        "is what folds and at least 100 sealed rows agree on."
    )
    return Table("What is recommended against its rivals", columns, rows, note=note)


def confirmed(confirmation: Confirmation | None) -> Table | None:
    """Show the finalists on splits that chose nothing."""
    if confirmation is None or not confirmation.finalists:
        return None
    rows = [
        Row(
            [
                _finalist(own.name),
                "" if own.number is None else str(own.number),
                "diverged" if own.value is None else number(own.value),
                _interval(own.interval),
                number(own.twin),
            ]
        )
        for own in confirmation.finalists
    ]
    note = f"{confirmation.splits} fresh splits, with fresh initial weights and batches."
    if confirmation.optimism is not None:
        share = f"{100 * abs(confirmation.optimism):.1f} %"
        side = "better" if confirmation.optimism >= 0 else "worse"
        note += f" The best trial's value in the search was {side} than this by {share}."
    columns = ["Finalist", "Trial", "Value", "95 %", "The same with λ = 0"]
    return Table("The finalists confirmed", columns, rows, note=note)


def _finalist(name: str) -> str:
    roles = {"simplest": "simplest", "best": "best", "none": "no penalty", "linear": "linear"}
    label = roles.get(name) or penalty_row(name).label
    return label[:1].upper() + label[1:]


def penalties(answer: Recommended) -> Table | None:
    """Show what the search made of each penalty."""
    if not answer.penalties:
        return None
    rows = [
        Row(
            [
                penalty_row(own.penalty).label,
                f"{own.trials:,}",
                _with_error(own.value, own.standard_error),
                _with_error(own.behind, own.behind_error),
                number(own.confirmed),
            ],
            penalty=own.penalty,
        )
        for own in answer.penalties
    ]
    columns = ["Penalty", "Trials", "Best value", "Behind the best", "Confirmed"]
    note = "Behind the best: mean difference of its best trial to the best of all, fold by fold."
    return Table("Each penalty's best", columns, rows, note=note)


def features(found: Features | None) -> Table | None:
    """Show the largest features."""
    if found is None or not found.features:
        return None
    rows = [
        Row(
            [
                own.name,
                _coefficient(own.coefficients),
                number(own.norm),
                _share(own.folds),
                _share(own.frequency),
                number(own.importance),
                _interval(own.importance_interval),
            ],
            strong=own.used,
        )
        for own in found.features[:MOST_FEATURES]
    ]
    columns = ["Feature", "Coefficient", "Norm", "Folds", "Halves", "Importance", "95 %"]
    note = (
        "Coefficient: in the table's units, of linear models with one. Norm: of the outgoing "
        "weights on standardised inputs. Folds and halves: the shares that use it. Importance: "
        "by how much the sealed loss rises when its values are shuffled."
    )
    return Table("Features, the largest first; bold: used", columns, rows, note=note)


def _coefficient(told: Mapping[str, list[float]] | None) -> str:
    values = [value for own in (told or {}).values() for value in own]
    return number(values[0]) if len(values) == 1 else ""


def path(found: RegularisationPath | None) -> Table | None:
    """Show strengths from the largest down, evenly thinned, and those that have names."""
    if found is None or not found.points:
        return None
    names = _names(found)
    step = -(-len(found.points) // MOST_STRENGTHS)
    rows = [
        Row(
            [
                number(point.strength),
                _with_error(point.value, point.standard_error),
                mean_count(point.features),
                mean_count(point.nonzero_weights),
                names.get(point.strength, ""),
            ],
            strong=point.strength in names,
        )
        for place, point in enumerate(found.points)
        if place % step == 0 or point.strength in names
    ]
    objective = objective_label(found.objective, found.loss)
    columns = ["λ", objective, "Features", "Nonzero weights", ""]
    note = "λ_min: the best value. λ_1se: the largest λ within one standard error of it."
    caption = f"The path of {penalty_row(found.penalty).label}"
    return Table(caption, columns, rows, texts=0, note=note)


def _names(found: RegularisationPath) -> dict[float | None, str]:
    """Return what strengths are called; one that is both has both names."""
    best, one_error = found.best_strength, found.one_standard_error_strength
    if best == one_error:
        return {best: "λ_min, λ_1se"}
    return {best: "λ_min", one_error: "λ_1se"}


def columns(
    profile: DatasetProfile | None, roles: Mapping[str, str], kinds: Mapping[str, JobKind]
) -> Table | None:
    """Show the data set's columns; roles: what those are that are no inputs.

    kinds: what the job takes columns as that it does not take as they are stored.
    """
    if profile is None:
        return None
    shown = profile.columns[:MOST_COLUMNS]
    taken = [own.taken_as(kinds.get(own.name, own.stored_kind)) for own in shown]
    rows = [
        Row(
            [
                own.name,
                roles.get(own.name, "input"),
                own.kind,
                str(own.missing),
                f"{own.distinct:,}",
                extent(own.minimum, own.maximum),
            ]
        )
        for own in taken
    ]
    names = ["Column", "Role", "Kind", "Missing", "Distinct", "Range"]
    return Table(f"{len(profile.columns):,} columns", names, rows, texts=3)


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return "-"
    return number(value) if error is None else f"{number(value)} ± {number(error)}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"
