"""How the numbers came about: data, splits, seeds, versions; and what the page leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from ridgeway.plots.evidence import Evidence
from ridgeway.report.material import Material
from ridgeway.report.tables import MOST_COLUMNS, MOST_FEATURES
from ridgeway.report.verdict import Fact, objective_of
from ridgeway.spec.columns import NO_INPUT
from ridgeway.spec.names import penalty_row
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import FoldsValidation, ForwardValidation
from ridgeway.words import duration, number


def data(material: Material) -> list[Fact]:
    """Return what is known of the data set."""
    spec, profile = material.evidence.spec, material.profile
    found = [Fact("Data set", spec.dataset)]
    if profile is not None:
        found.append(Fact("Rows", f"{profile.rows:,}"))
        found.append(Fact("Columns", f"{len(profile.columns):,}"))
        kinds = spec.columns
        taken = [own.taken_as(kinds.get(own.name, own.stored_kind)) for own in profile.columns]
        missing = sum(column.missing for column in taken)
        gaps = sum(column.missing > 0 for column in taken)
        told = f"{missing:,} values, in {gaps:,} columns" if missing else "nothing"
        found.append(Fact("Missing", told))
    found.append(Fact("Target", str(spec.target), spec.task or ""))
    description = material.description
    if description is not None:
        if description.classes:
            named = ", ".join(str(label) for label in description.classes[:20])
            more = len(description.classes) - 20
            found.append(Fact("Classes", named + (f" and {more} more" if more > 0 else "")))
        found.append(
            Fact("Inputs", f"{len(description.inputs):,}", "columns after encoding, standardised")
        )
    return found


def roles(spec: JobSpec) -> dict[str, str]:
    """Return what the columns are that are no inputs, by name."""
    order = spec.order
    named = {"target": spec.target, "groups": spec.groups, "weights": spec.weights, "order": order}
    dropped = dict.fromkeys(spec.drop, "dropped")
    dropped |= {
        name: "dropped" if kind == "drop" else f"left out: {kind}"
        for name, kind in spec.columns.items()
        if kind in NO_INPUT
    }
    return dropped | {column: role for role, column in named.items() if column is not None}


def protocol(evidence: Evidence) -> list[Fact]:
    """Return how the search went."""
    job, spec, answer = evidence.job, evidence.spec, evidence.answer
    counts, sealed = job.progress, f"{100 * spec.test_fraction:g} % of the rows"
    ended = f"{counts.complete:,} complete, {counts.pruned:,} pruned, {counts.failed:,} failed"
    found = [
        Fact(
            "Sealed",
            sealed,
            f"{answer.test.rows:,} rows, opened when the search was over" if answer else "",
        ),
        Fact("Validation", _validation(spec), "of the rows that are not sealed"),
        Fact("Judged by", objective_of(spec)),
        Fact("Model", _model(spec)),
        Fact("Penalties", ", ".join(penalty_row(name).label for name in spec.search.penalty)),
        Fact("Trials", f"{counts.trials:,}", ended),
        Fact("Sampler", spec.sampler, "" if spec.pruner == "none" else f"pruner: {spec.pruner}"),
        Fact("Optimiser", spec.optimizer, _epochs(spec)),
        Fact("Rule", spec.rule.replace("_", " ")),
        Fact("Seed", str(spec.seed), "of splits, initial weights, batches and proposals"),
    ]
    if job.lambda_range is not None:
        low, high = job.lambda_range.low, job.lambda_range.high
        found.insert(
            5, Fact("λ", f"{number(low)} to {number(high)}", "found out by the job's first worker")
        )
    if job.started_at and job.finished_at:
        seconds = (job.finished_at - job.started_at).total_seconds()
        when = job.finished_at.strftime("%Y-%m-%d %H:%M UTC")
        found.append(Fact("Took", duration(seconds), f"until {when}"))
    found.append(Fact("Job", job.id, f"told by Ridgeway {version('ridgeway')}"))
    return found


def _validation(spec: JobSpec) -> str:
    own = spec.validation
    if isinstance(own, ForwardValidation):
        return f"{own.folds} folds forward in {own.by}"
    if isinstance(own, FoldsValidation):
        times = f", {own.repeats} times" if own.repeats > 1 else ""
        return f"{own.folds} folds{times}"
    return f"a holdout of {100 * own.fraction:g} %"


def _model(spec: JobSpec) -> str:
    own = spec.model.model_dump()
    hidden = own.get("hidden")
    if not hidden:
        return own["kind"]
    skip = ", with a skip layer" if own["skip"] else ""
    return f"{own['kind']}, hidden layers of {', '.join(map(str, hidden))}{skip}"


def _epochs(spec: JobSpec) -> str:
    if spec.optimizer == "exact":
        return "to the optimum"
    return f"{spec.epochs:,} epochs, batches of {spec.batch_size:,}"


def left_out(material: Material, absent: list[str], reason: str) -> list[str]:
    """Return, in sentences, what the page does not show."""
    return list(_left_out(material, absent, reason))


def _left_out(material: Material, absent: list[str], reason: str) -> Iterator[str]:
    evidence = material.evidence
    trials, path, features = evidence.trials, evidence.path, evidence.features
    if trials.every > 1:
        yield (
            f"Pictures show every {trials.every}th of {trials.there_are:,} trials, and those that "
            "are named."
        )
    if absent:
        yield f"Pictures that this job has nothing for: {', '.join(absent)}."
    if path is None:
        yield "There is no regularisation path."
    elif path.left_out:
        yield f"The path leaves {path.left_out:,} columns out, those with the least coefficients."
    if features is None:
        yield "There is no list of features."
    else:
        if len(features.features) > MOST_FEATURES:
            count = len(features.features)
            yield f"The table shows the {MOST_FEATURES} largest of {count:,} features."
        if features.left_out:
            yield f"{features.left_out:,} features, the smallest, have no importance."
    if material.profile is not None and len(material.profile.columns) > MOST_COLUMNS:
        count = len(material.profile.columns)
        yield f"The table shows the first {MOST_COLUMNS} of {count:,} columns."
    if reason:
        yield f"There is no code: {reason}."
    if evidence.shown is not None:
        for name, why in evidence.shown.absent.items():
            yield f"{name.capitalize()}: {why}."
    yield "No row of the data is on this page, but names of columns and classes are."
