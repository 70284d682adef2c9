"""The model card: what a job's model is, what it rests on, how it is loaded. Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

from ridgeway.answers import LIBRARIES, Chosen, ModelRole, Recommended, SealedScores
from ridgeway.formats.markdown import escaped, table
from ridgeway.model.file import FORMAT, Description
from ridgeway.spec.names import OBJECTIVE_ROWS, penalty_row
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Job
from ridgeway.words import number

MOST_NAMES = 50  # of columns or classes that are told one by one
LONGEST_SENTENCE = 2000  # characters of a verdict, check or warning

ROLES: dict[str, str] = {
    "simplest": "the simplest model that its value and its folds don't tell from the best",
    "best": "the model with the best validation value",
    "none": "the best model without a penalty",
    "linear": "the linear model with an L2 penalty that a net has to beat",
    "baseline": "the constant: it uses no column",
    "debiased": "the recommended columns, fitted without a penalty",
}

# By what the answer's scores are called, and the words for them.
METRICS: dict[str, str] = {
    **{name: row.label for name, row in OBJECTIVE_ROWS.items()},
    "mae": "mean absolute error",
    "brier": "Brier score",
}


@dataclass(frozen=True)
class _Subject:
    """The model that a card is of. role: as its scores are called; features: None if unknown."""

    job: Job
    answer: Recommended
    role: str
    told: Description
    features: Sequence[str] | None

    @property
    def chosen(self) -> Chosen | None:
        """Return the trial that it is of, if it is one's."""
        name = self.answer.choice if self.role == "debiased" else self.role
        own = {"simplest": self.answer.simplest, "best": self.answer.best, "none": self.answer.none}
        return own.get(name)

    @property
    def is_recommended(self) -> bool:
        """Return whether this is what the answer tells to use."""
        return self.role == scored_role(self.answer, "recommended")


def model_card(
    job: Job,
    answer: Recommended,
    role: ModelRole,
    told: Description,
    features: Sequence[str] | None,
) -> str:
    """Write the card of a role's model; features are the columns that it uses, if that is known."""
    subject = _Subject(job, answer, scored_role(answer, role), told, features)
    sections = (_what, _data, _scores, _features, _limits, _loading, _versions)
    lines = [line for section in sections for line in (*section(subject), "")]
    return "\n".join(lines)


def scored_role(answer: Recommended, role: ModelRole) -> str:
    """Return the name among the answer's scores of a role's model."""
    if role != "recommended":
        return role
    return "debiased" if answer.debias is not None else answer.choice


def _what(subject: _Subject) -> list[str]:
    job, told = subject.job, subject.told
    title = job.name or told.target
    verdict = subject.answer.verdict
    facts = [
        ("Predicts", f"{escaped(told.target)}, by {_kind(told)}"),
        ("Role", f"{ROLES[subject.role]}{'; recommended' * subject.is_recommended}"),
        *_settings(told.settings),
        *_elsewhere(subject.chosen),
        ("Job", f"{escaped(job.id)}, {_when(job)}"),
    ]
    lines = [f"# Model card: {escaped(title)}", ""]
    if verdict is not None:
        lines += [escaped(verdict.sentence, LONGEST_SENTENCE), ""]
    return [*lines, *table(("", ""), facts)]


def _kind(told: Description) -> str:
    if told.role == "baseline":
        return "a constant"
    kinds = {"linear": "a linear model", "mlp": "a multilayer perceptron"}
    kind = kinds.get(told.kind, f"a model of the plug-in {escaped(told.kind)}")
    hidden = told.options.get("hidden")
    if told.kind == "mlp" and isinstance(hidden, list):
        widths = ", ".join(str(width) for width in cast("list[Any]", hidden))
        kind += f", hidden layers {widths}, {escaped(str(told.options.get('activation', 'relu')))}"
        kind += ", with a skip layer from inputs to outputs" if told.options.get("skip") else ""
    return kind


def _settings(settings: Mapping[str, float | str]) -> list[tuple[str, str]]:
    """Return penalty and strength, and what else its trial had."""
    words = {"lambda": "Strength λ", "l1_ratio": "L1 ratio"}
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if name == "penalty":
            rows.append(("Penalty", escaped(penalty_row(str(value)).label)))
        else:
            told = escaped(name.replace("_", " ").capitalize())
            shown = f"{value:.6g}" if isinstance(value, int | float) else escaped(value)
            rows.append((words.get(name, told), shown))
    return rows


def _elsewhere(chosen: Chosen | None) -> list[tuple[str, str]]:
    """Return by which arguments other libraries fit the same."""
    found = {} if chosen is None else chosen.equivalents or {}
    return [
        (
            f"In {escaped(LIBRARIES.get(library, library))}",
            ", ".join(f"{escaped(n)} {v:.6g}" for n, v in own.items()),
        )
        for library, own in found.items()
    ]


def _when(job: Job) -> str:
    return f"finished {job.finished_at:%Y-%m-%d}" if job.finished_at else "not finished"


def _data(subject: _Subject) -> list[str]:
    job, told = subject.job, subject.told
    spec = job.spec if isinstance(job.spec, JobSpec) else None
    rows = subject.answer.test.rows
    facts = [
        ("Data set", escaped(spec.dataset) if spec is not None else "unknown to this release"),
        ("Target", escaped(told.target)),
        ("Columns", f"{len(told.columns)}: {_names([each.name for each in told.columns])}"),
        ("Sealed rows", f"{rows:,}, which no choice and no training has seen"),
    ]
    if told.classes:
        labels = _names([str(each) for each in told.classes])
        facts.insert(2, ("Classes", f"{len(told.classes)}: {labels}"))
    return ["## Data", "", *table(("", ""), facts)]


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    told = ", ".join(escaped(name) for name in names[:MOST_NAMES])
    return f"{told} and {more:,} more" if more > 0 else told


def _scores(subject: _Subject) -> list[str]:
    """Return every metric on the sealed rows beside the constant's."""
    test = subject.answer.test
    own, constant = _metrics(test, subject.role), _metrics(test, "baseline")
    rows = [
        (METRICS.get(name, escaped(name)), f"{value:.6g}", number(constant.get(name)))
        for name, value in own.items()
    ]
    lines = ["## How good it is", "", f"On {test.rows:,} sealed rows, beside the constant:", ""]
    if not rows:
        return [*lines[:2], "The answer tells no scores of this model."]
    lines += table(("metric", "this model", "the constant"), rows)
    if subject.is_recommended and test.interval is not None:
        low, high = test.interval
        lines += ["", f"{METRICS[test.metric]}: {number(low)} to {number(high)} (95 %, resampled)."]
    return lines


def _metrics(test: SealedScores, role: str) -> Mapping[str, float]:
    """Return a role's scores by metric; an early release's answer has one alone."""
    one: float | None = getattr(test, role, None)
    return test.metrics.get(role) or ({} if one is None else {test.metric: one})


def _features(subject: _Subject) -> list[str]:
    lines, names = ["## What it uses", ""], subject.features
    if names is None:
        return [*lines, "Which columns it uses is not known of a model of this kind or size."]
    told = f"{len(names)} of {len(subject.told.columns)} columns"
    return [*lines, f"{told}: {_names(names)}." if names else f"{told}."]


def _limits(subject: _Subject) -> list[str]:
    """Return what a user should know, the checks of the answer first."""
    lines = ["## Limits", ""]
    for check in subject.answer.checks:
        sentence = escaped(f"{check.sentence} {check.remedy}", LONGEST_SENTENCE)
        lines.append(f"- {escaped(check.code)}: {sentence}")
    lines += [f"- {escaped(warning, LONGEST_SENTENCE)}" for warning in subject.job.warnings]
    lines.append(
        "- Missing numbers are filled with the median of the training rows. A level of a category "
        "that no training row had counts as none of its levels."
    )
    lines.append("- The scores hold for rows like those of the data set, and for no others.")
    return lines


def _loading(subject: _Subject) -> list[str]:
    """Return code for each form that a model of this kind has."""
    kind = subject.told.kind
    ways: list[tuple[str, Sequence[str]]] = [
        ("Python, as Ridgeway reads it (`pip install 'ridgeway[model]'`):", _RIDGEWAY),
    ]
    if kind in ("linear", "mlp"):
        ways.append(("ONNX (`?format=onnx`), by any runtime:", _ONNX))
    if kind == "linear":
        ways.append(("scikit-learn (`?format=sklearn`), through skops:", _SKLEARN))
    lines = ["## How to load it"]
    for words, code in ways:
        lines += ["", words, "", "```python", *code, "```"]
    return lines


_RIDGEWAY = (
    "from ridgeway import load_model",
    "",
    'load_model("model.safetensors").predict(table)',
)
_ONNX = (
    "import onnxruntime",
    "",
    'session = onnxruntime.InferenceSession("model.onnx")',
    "session.run(None, columns)  # by name: doubles, NaN where missing; strings, '' where missing",
)
_SKLEARN = (
    "import skops.io",
    "",
    'skops.io.load("model.skops").predict(table)  # a DataFrame',
)


def _versions(subject: _Subject) -> list[str]:
    facts = [("Ridgeway", version("ridgeway")), ("Format of the file", FORMAT)]
    return ["## Versions", "", *table(("", ""), facts)]
