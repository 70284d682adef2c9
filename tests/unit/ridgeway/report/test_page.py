"""The page of a report: what is in it, and what gets in from nobody."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from reporting import refitted_material

from ridgeway.answers import (
    Check,
    Comparison,
    Confirmation,
    ConfirmedFinalist,
    PenaltyRow,
    Recommended,
    Verdict,
)
from ridgeway.errors import Conflict
from ridgeway.report.material import Material
from ridgeway.report.page import policy_in, policy_of, render_report
from ridgeway.words import number
from workers.data.bundled import bundled_frame

HOSTILE = '</title><script>alert("x")</script><img src=x onerror=alert(1)>'


class Read(HTMLParser):
    """The elements of a page, its text, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "src", "srcset", "xlink:href", "action"):
                self.addresses.append(str(value))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def material() -> Material:
    """A linear job on diabetes, whose answer has all that an answer may have."""
    fields = {"dataset": "diabetes", "model": {"kind": "linear"}}
    params = {"penalty": "l1", "lambda": 0.05}
    made, _ = refitted_material(fields, bundled_frame("diabetes"), params, bundled=True)
    against = {"rival": "none", "difference": 1.25, "interval": (-3.5, 6.0), "p": 0.437}
    update: dict[str, Any] = {
        "verdict": Verdict(
            sentence="L1 is recommended. It is 12 % simpler.", claim="none_detected"
        ),
        "comparisons": [Comparison(**against, folds=10, detectable=9.75, claimed=False)],
        "confirmation": Confirmation(
            splits=10,
            finalists=[ConfirmedFinalist(name="simplest", number=0, value=3021.0, twin=3055.0)],
            optimism=0.031,
        ),
        "penalties": [_row("l1", 0, 3010.0), _row("l2", None, 3012.0)],
        "checks": [Check(code="few_rows", sentence="Few `rows`.", remedy="Bring more.")],
    }
    return with_answer(made, **update)


def _row(penalty: str, trial: int | None, value: float) -> PenaltyRow:
    return PenaltyRow(
        penalty=penalty,
        trials=7,
        number=trial,
        value=value,
        standard_error=12.5,
        behind=0.5,
        behind_error=0.25,
    )


def with_answer(material: Material, **update: Any) -> Material:
    evidence = material.evidence
    assert evidence.answer is not None
    answer = evidence.answer.model_copy(update=update)
    job = evidence.job.model_copy(update={"recommended": answer})
    return replace(material, evidence=replace(evidence, answer=answer, job=job))


def with_job(material: Material, **update: Any) -> Material:
    job = material.evidence.job.model_copy(update=update)
    return replace(material, evidence=replace(material.evidence, job=job))


def test_the_verdict_comes_first_and_the_numbers_are_the_answers(material: Material) -> None:
    page = Read(render_report(material))
    answer = material.evidence.answer
    assert answer is not None
    first = page.text.index("L1 is recommended")
    assert first < page.text.index("What this answer does not know") < page.text.index("Evidence")
    told = [
        number(answer.test.simplest),
        number(answer.simplest.value),
        "1.25",
        "-3.50 to 6.00",
        "0.437",
        "9.75",
        "3021",
        "3055",
        "3.1 %",
        "3010 ± 12.5",
        "few_rows",
    ]
    for value in told:
        assert value in page.text, value


def test_every_section_is_there_once_and_the_contents_lead_to_it(material: Material) -> None:
    page = Read(render_report(material))
    sections = ["evidence", "checks", "features", "settings", "why", "data", "protocol", "left-out"]
    assert len(page.ids) == len(set(page.ids))
    assert set(sections) <= set(page.ids)
    assert {f"#{name}" for name in sections} <= set(page.addresses)


def test_the_page_asks_nobody_for_anything_and_runs_nothing(material: Material) -> None:
    text = render_report(material)
    page = Read(text)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert all(address.startswith("#") for address in page.addresses)
    assert "url(" not in re.sub(r"url\(#", "", text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert policy_in(text) == policy_of(style)
    assert policy_in(text).startswith("default-src 'none'")
    assert len(text.encode()) < 3_000_000


def test_names_of_clients_are_shown_and_never_read_as_markup(material: Material) -> None:
    spec = material.evidence.spec.model_copy(update={"dataset": HOSTILE, "drop": [HOSTILE]})
    named = with_job(material, name=HOSTILE, spec=spec, warnings=[HOSTILE])
    named = replace(named, evidence=replace(named.evidence, spec=spec), bundled=False)
    assert named.profile is not None
    columns = [own.model_copy(update={"name": HOSTILE}) for own in named.profile.columns[:1]]
    profile = named.profile.model_copy(update={"columns": [*columns, *named.profile.columns[1:]]})
    named = replace(named, profile=profile)
    check = Check(code="x", sentence=f"`{HOSTILE}`", remedy=HOSTILE)
    verdict = Verdict(sentence=HOSTILE, claim="benefit")
    row = _row(HOSTILE, None, 1.0)
    page = Read(render_report(with_answer(named, checks=[check], verdict=verdict, penalties=[row])))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.text.count(HOSTILE) >= 7


def test_a_checks_backticks_are_code(material: Material) -> None:
    text = render_report(material)
    assert "<strong>Few <code>rows</code>.</strong>" in text
    lone = Check(code="x", sentence="A lone ` <b>", remedy="")
    assert "A lone ` &lt;b&gt;" in render_report(with_answer(material, checks=[lone]))


def test_an_answer_of_another_release_is_not_told_as_none(material: Material) -> None:
    evidence, why = material.evidence, "This release can't read the job's answer."
    job = evidence.job.model_copy(update={"recommended": None, "unreadable": why})
    with pytest.raises(Conflict, match=why):
        render_report(replace(material, evidence=replace(evidence, answer=None, job=job)))


def test_an_answer_of_an_early_release_has_a_page_too(material: Material) -> None:
    answer = material.evidence.answer
    assert answer is not None
    known = {"simplest", "best", "none", "baseline", "test"}
    early = Recommended.model_validate(answer.model_dump(include=known))
    evidence = replace(material.evidence, answer=early)
    page = Read(render_report(Material(evidence)))
    assert "L1, λ = 0.0500 is recommended." in page.text
    assert "There is no code: the data set's columns" in page.text
    assert "why" not in page.ids


@pytest.mark.parametrize(
    ("interval", "claim"),
    [((0.5, 6.0), "A gain is seen, and not claimed"), ((-3.5, 6.0), "No difference detected")],
)
def test_a_gain_that_is_not_claimed_is_not_said_to_be_undetected(
    material: Material, interval: tuple[float, float], claim: str
) -> None:
    assert material.evidence.answer is not None
    against = material.evidence.answer.comparisons[0].model_copy(update={"interval": interval})
    words = Read(render_report(with_answer(material, comparisons=[against]))).words
    assert claim in words


@pytest.mark.parametrize(("optimism", "side"), [(0.031, "better"), (-0.031, "worse")])
def test_the_searchs_values_are_told_to_be_better_or_worse(
    material: Material, optimism: float, side: str
) -> None:
    assert material.evidence.answer is not None
    confirmation = material.evidence.answer.confirmation
    assert confirmation is not None
    other = confirmation.model_copy(update={"optimism": optimism})
    text = render_report(with_answer(material, confirmation=other))
    assert f"value in the search was {side} than this by 3.1 %." in text


def test_a_page_beside_its_models_file_names_that(material: Material) -> None:
    text = render_report(material, "model.safetensors")
    assert 'ridgeway.load_model("model.safetensors")' in text


def test_the_constant_needs_no_code(material: Material) -> None:
    page = Read(render_report(with_answer(material, choice="baseline")))
    assert "The constant" in page.text
    assert "there is nothing to be trained" in page.text


@pytest.mark.parametrize(
    ("tried", "title"),
    [
        (["l1", "l2"], "Why L1 gives zeros and L2 doesn't"),
        (["l2"], "Why L2 gives no zeros"),
        (["group_lasso"], "Why group lasso gives zeros"),
        (["none", "mcp"], None),
    ],
)
def test_zeros_are_explained_by_the_penalties_that_were_tried(
    material: Material, tried: list[str], title: str | None
) -> None:
    rows = [_row(name, 0, 1.0) for name in tried]
    page = Read(render_report(with_answer(material, penalties=rows)))
    assert ("why" in page.ids) is (title is not None)
    if title is not None:
        assert title in page.text
        assert ("Landing on zero" in page.text) is (tried != ["l2"])


@pytest.mark.parametrize("strength", [1e-320, 1e-12])
def test_a_strength_too_small_to_land_by_has_a_page(material: Material, strength: float) -> None:
    """A path's strengths may be whatever is above 0: of the smallest no step can be counted."""
    evidence = material.evidence
    trials = replace(evidence.trials, strength=(strength,))
    weak = replace(material, evidence=replace(evidence, trials=trials))
    page = Read(render_report(with_answer(weak, penalties=[_row("l1", 0, 1.0)])))
    assert "is at zero after 1,000,000,000,000 or more steps" in page.text


def test_a_job_without_an_answer_says_why_it_has_no_report(material: Material) -> None:
    for state, said in (("running", "comes with its answer"), ("failed", "has no answer")):
        unanswered = with_job(material, state=state, recommended=None)
        evidence = replace(unanswered.evidence, answer=None)
        with pytest.raises(Conflict, match=said):
            render_report(Material(evidence))
