"""The model card says what the answer does, and nothing that a name smuggles in."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from scripted import make_answered_job

from ridgeway.answers import Check, Debias, Recommended, Verdict
from ridgeway.formats.card import model_card
from ridgeway.formats.markdown import escaped
from ridgeway.model.file import Column, Description
from ridgeway.views import Job

SCORES = {"simplest": {"accuracy": 0.9722, "loss": 0.08}, "baseline": {"accuracy": 0.389}}


def told(**changes: object) -> Description:
    fields: dict[str, object] = {
        "kind": "linear",
        "options": {},
        "task": "classification",
        "outputs": 3,
        "link": "softmax",
        "classes": ("red", "white", "rosé"),
        "columns": (Column("hue", "number", 1.0), Column("region", "category")),
        "inputs": (),
        "target": "kind",
        "target_mean": 0.0,
        "target_scale": 1.0,
        "role": "simplest",
        "settings": {"penalty": "l1", "lambda": 0.0021312, "learning_rate": 0.01},
    }
    return Description(**{**fields, **changes})  # type: ignore[arg-type]


def an_answer(job: Job, **changes: object) -> Recommended:
    assert job.recommended is not None
    test = job.recommended.test.model_copy(update={"metrics": SCORES, "interval": (0.91, 0.99)})
    return job.recommended.model_copy(update={"test": test, **changes})


def card(role: str = "recommended", **changes: object) -> str:
    job = make_answered_job(**changes)
    verdict = Verdict(sentence="L1 beats no penalty.", claim="benefit")
    check = Check(code="few_rows", sentence="Few rows.", remedy="Get more.")
    answer = an_answer(job, verdict=verdict, checks=[check])
    return model_card(job, answer, role, told(), ["hue"])  # type: ignore[arg-type]


def test_the_card_tells_what_the_answer_does() -> None:
    text = card()
    assert text.startswith("# Model card: wine, which penalty?\n\nL1 beats no penalty.\n")
    for line in (
        "| Predicts | kind, by a linear model |",
        "| Penalty | L1 |",
        "| Strength λ | 0.0021312 |",
        "| Learning rate | 0.01 |",
        "| Data set | wine |",
        "| Classes | 3: red, white, rosé |",
        "| Columns | 2: hue, region |",
        "| accuracy | 0.9722 | 0.389 |",
        "accuracy: 0.910 to 0.990 (95 %, resampled).",
        "1 of 2 columns: hue.",
        "- few\\_rows: Few rows. Get more.",
    ):
        assert line in text.splitlines()
    assert "recommended" in text
    assert re.findall(r"^import (\w+)", text, re.MULTILINE) == ["onnxruntime", "skops"]


def test_other_roles_have_their_own_scores_and_no_claim_of_being_recommended() -> None:
    text = card("best")
    assert "recommended |" not in text
    assert "95 %" not in text
    # An early release's answer has one score of each role.
    assert "| accuracy | 0.944 | 0.389 |" in text


def test_a_debiased_model_is_told_as_one() -> None:
    job = make_answered_job()
    fields = {name: None for name in Debias.model_fields} | {"nonzero_weights": 2}
    answer = an_answer(job, debias=Debias(**fields))  # type: ignore[arg-type]
    text = model_card(job, answer, "recommended", told(), None)
    assert "fitted without a penalty; recommended" in text
    assert "Which columns it uses is not known" in text


def test_a_net_is_no_pipeline_and_a_plug_ins_no_onnx() -> None:
    job = make_answered_job()
    net = told(kind="mlp", options={"hidden": [8, 4], "activation": "gelu"})
    text = model_card(job, an_answer(job), "recommended", net, None)
    assert "a multilayer perceptron, hidden layers 8, 4, gelu" in text
    assert "onnxruntime" in text
    assert "skops" not in text
    text = model_card(job, an_answer(job), "recommended", told(kind="my_*net*"), None)
    assert "a model of the plug-in my\\_\\*net\\*" in text
    assert "onnxruntime" not in text


HOSTILE = [
    "# heading",
    "a | b",
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil)",
    "*bold* _it_ `code` ~~no~~ $x^2$",
    "line\n\n# second\r\n- third",
    "1. one",
    "2) two",
    "12) twelve",
    "- item",
    "+ item",
    "===",
    "http://evil.example www.evil.example a@evil.example",
    "&lt;b&gt; \\* \\",
    "tab\tand \x00nul \u202ereversed \u2028 line",
    "``` fence",
    "> quote",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_wherever_it_stands(name: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table")
    wanted = " ".join(re.sub("[\x00\u202e\u2028]", " ", name).split())
    for before in ("", "- ", "| x | y |\n| --- | --- |\n| z | "):
        after = " |" if before.startswith("|") else ""
        tokens = reader.parse(f"{before}{escaped(name)}{after}")
        inline = [token for token in tokens if token.type == "inline"]
        kinds = {child.type for token in inline for child in token.children or ()}
        assert kinds <= {"text", "text_special"}, (before, kinds)
        assert "".join(child.content for child in inline[-1].children or ()) == wanted
    assert len(escaped("x" * 5000)) < 300


def test_hostile_names_make_no_markup_in_a_card() -> None:
    job = make_answered_job(name=HOSTILE[2])
    columns = tuple(Column(name, "number", 0.0) for name in HOSTILE)
    strange = told(columns=columns, classes=tuple(HOSTILE), target=HOSTILE[3])
    text = model_card(job, an_answer(job), "recommended", strange, HOSTILE)
    plain = model_card(job, an_answer(job), "recommended", told(), ["hue"])

    def structure(source: str) -> list[str]:
        reader = MarkdownIt("commonmark", {"html": True}).enable("table")
        return [token.type for token in reader.parse(source)]

    assert structure(text) == structure(plain)
    assert not re.search(r"(?<!\\)<script", text)
