"""What the page of an answered job tells: the verdict in large, then the evidence, then the use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ridgeway.answers import Check, Recommended
from ridgeway.plots.evidence import Evidence
from ridgeway.report import protocol, tables
from ridgeway.report.verdict import Fact, chosen_of, claim_of, facts, named, unknown
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.spec import JobSpec, Rule
from ridgeway.words import count

WHY: dict[Rule, str] = {
    "simplest": "It is the simplest model whose results can't be told from the best one's.",
    "one_standard_error": "Within one standard error of the best, it has the fewest weights.",
    "best": "Its validation value is the best of all.",
}
LIMITED = "Only models within the job's own limits were considered."
CONSTANT = (
    "No model predicts better than that, as far as these rows can show. "
    "More rows, or other columns, may change it."
)


@dataclass(frozen=True)
class Answered:
    """An answer in words and tables."""

    claim: str
    helps: bool  # whether a gain is claimed
    sentence: str
    further: str
    recommended: str
    why: str
    facts: Sequence[Fact]
    unknown: Sequence[str]
    models: tables.Table
    evidence: Sequence[tables.Table]
    checks: Sequence[Check]
    features: tables.Table | None
    path: tables.Table | None
    protocol: Sequence[Fact]
    downloads: Sequence[Download]


@dataclass(frozen=True)
class Download:
    """A file to take away, and what it is for."""

    label: str
    address: str
    note: str


def answered(evidence: Evidence, answer: Recommended) -> Answered:
    """Tell the answer."""
    first, _, rest = _sentence(answer).partition(". ")
    every = [
        tables.comparisons(answer),
        tables.confirmed(answer.confirmation),
        tables.penalties(answer),
    ]
    return Answered(
        claim=claim_of(answer),
        helps=answer.verdict is not None and answer.verdict.claim == "benefit",
        sentence=first.rstrip(".") + ".",
        further=rest,
        recommended=named(chosen_of(answer)),
        why=_why(evidence.spec, answer),
        facts=facts(evidence, answer),
        unknown=unknown(evidence, answer),
        models=tables.models(evidence, answer),
        evidence=[table for table in every if table is not None],
        checks=answer.checks,
        features=tables.features(evidence.features),
        path=tables.path(evidence.path),
        protocol=protocol.protocol(evidence),
        downloads=_downloads(evidence),
    )


def _sentence(answer: Recommended) -> str:
    if answer.verdict is not None:
        return answer.verdict.sentence
    return f"{named(chosen_of(answer))} is recommended."


def _why(spec: JobSpec, answer: Recommended) -> str:
    if answer.choice == "baseline":
        return CONSTANT
    limited = f" {LIMITED}" if spec.at_most is not None else ""
    return WHY[spec.rule] + limited


def _downloads(evidence: Evidence) -> list[Download]:
    at, model = f"/v1/jobs/{evidence.job.id}", evidence.spec.model
    found = [
        Download("Report", f"{at}/report", "one page with all of this, to read, print or send")
    ]
    found.append(Download("Model", f"{at}/model", "safetensors: load it with ridgeway.load_model"))
    if isinstance(model, LinearModel | MlpModel):
        found.append(Download("Model as ONNX", f"{at}/model?format=onnx", "for other languages"))
    if isinstance(model, LinearModel):
        sklearn = f"{at}/model?format=sklearn"
        found.append(Download("Model for scikit-learn", sklearn, "a pipeline that takes a table"))
    found.append(
        Download("Model card", f"{at}/model?format=card", "Markdown: what it is, and for what")
    )
    trials = count(evidence.job.progress.complete, "complete trial")
    found.append(
        Download("Trials", f"{at}/trials.csv", f"CSV: {trials}, and those that ended early")
    )
    return found
