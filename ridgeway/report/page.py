"""The page: sections joined, styles inside, nothing asked of anybody.

There is no script, and the policy says so: styles are those of the page by their checksum. The
service sends the same policy as a header.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from ridgeway.errors import Conflict
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.palette import colour
from ridgeway.report import protocol, tables, verdict
from ridgeway.report.environment import FOLDER, PAGES
from ridgeway.report.material import Material
from ridgeway.report.pictures import absent, dark_rules, figures
from ridgeway.report.reproduction import reproduction
from ridgeway.report.why import why

IN_ANOTHER_SECTION = ("path", "features", "weights", "flicker")


def render_report(material: Material, model: str | None = None) -> str:
    """Return the page of a job's answer; Conflict where the job has none.

    model: the name of the model's file where it lies beside the page; None: a service has it.
    """
    evidence = material.evidence
    answer = evidence.answer
    if answer is None:
        raise Conflict(without_answer(evidence))
    drawn, code = figures(evidence), reproduction(material)
    style = _style() + _colours(evidence)
    left_out = protocol.left_out(material, absent(drawn), code.reason)
    return PAGES.get_template("report.html.jinja").render(
        policy=policy_of(style),
        style=style,
        job=evidence.job,
        model=model or evidence.job.id,
        spec=evidence.spec,
        spec_json=evidence.spec.model_dump_json(indent=2, by_alias=True),
        answer=answer,
        claim=verdict.claim_of(answer),
        facts=verdict.facts(evidence, answer),
        recommended=verdict.named(verdict.chosen_of(answer)),
        unknown=verdict.unknown(evidence, answer),
        evidence_tables=_tables(evidence),
        path_table=tables.path(evidence.path),
        feature_table=tables.features(evidence.features),
        stability=evidence.features.stability if evidence.features else None,
        figures=drawn,
        pictures=[own for own in drawn.values() if own.name not in IN_ANOTHER_SECTION],
        code=code,
        data=protocol.data(material),
        column_table=tables.columns(
            material.profile, protocol.roles(evidence.spec), evidence.spec.columns
        ),
        protocol=protocol.protocol(evidence),
        left_out=left_out,
        why=why(evidence, answer),
        classes=_classes(evidence),
    )


def without_answer(evidence: Evidence) -> str:
    """Say why a job has no report."""
    job = evidence.job
    if job.unreadable:  # it has an answer, of another release
        return job.unreadable
    if job.ended:
        return f"Job {job.id} is {job.state} and has no answer, so there is no report."
    return f"Job {job.id} is {job.state}: its report comes with its answer."


def _tables(evidence: Evidence) -> list[tables.Table]:
    answer = evidence.answer
    assert answer is not None
    every = [
        tables.models(evidence, answer),
        tables.comparisons(answer),
        tables.confirmed(answer.confirmation),
        tables.penalties(answer),
    ]
    return [table for table in every if table is not None]


def policy_of(style: str) -> str:
    """Return the Content-Security-Policy that allows these styles and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def policy_in(page: str) -> str:
    """Return the policy that a page of ours names."""
    start = page.index(_POLICY) + len(_POLICY)
    return page[start : page.index('"', start)].replace("&#39;", "'")


_POLICY = '<meta http-equiv="Content-Security-Policy" content="'


@cache
def _style() -> str:
    return (FOLDER / "report.css").read_text(encoding="utf-8")


def _classes(evidence: Evidence) -> dict[str, str]:
    """Return a class for each penalty of the job: a plug-in's name is no word of a style sheet."""
    names = dict.fromkeys(["none", *evidence.spec.search.penalty])
    return {name: f"penalty-{place}" for place, name in enumerate(names)}


def _colours(evidence: Evidence) -> str:
    """Return the styles of the penalties' classes, in the colours of the plots."""
    classes = _classes(evidence)
    light = "".join(f".{own}{{--penalty:{colour(name)}}}" for name, own in classes.items())
    dark = "".join(
        f".{own}{{--penalty:{colour(name, dark=True)}}}" for name, own in classes.items()
    )
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}{dark_rules(evidence)}}}\n"
