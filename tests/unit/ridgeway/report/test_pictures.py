"""Plots inside a page: drawn once, dark by style rules, with ids of their own."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from reporting import refitted_material

from ridgeway.plots.evidence import Evidence
from ridgeway.plots.plots import PLOTS
from ridgeway.plots.render import draw
from ridgeway.plots.theme import THEMES
from ridgeway.report.pictures import dark_rules, figures, inside_a_page
from workers.data.bundled import bundled_frame


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    fields = {"dataset": "diabetes", "model": {"kind": "linear"}}
    params = {"penalty": "l1", "lambda": 0.05}
    return refitted_material(fields, bundled_frame("diabetes"), params)[0].evidence


def test_the_dark_rules_make_the_dark_themes_picture_of_the_light_one(evidence: Evidence) -> None:
    rules = re.findall(r'svg \[(\w+)="(#\w+)"\]\{\1:(#\w+)\}', dark_rules(evidence))
    compared = 0
    for plot in PLOTS.values():
        pictures = [draw(plot, evidence, THEMES[name]) for name in ("light", "dark")]
        if pictures[0] is None or pictures[1] is None:
            continue
        light, dark = (picture.render("svg").decode() for picture in pictures)
        # All at once, as a browser has it: no rule is of what another one gives.
        assert _without_ids(_recoloured(light, rules)) == _without_ids(dark), plot.name
        compared += 1
    assert compared


def _recoloured(svg: str, rules: list[tuple[str, str, str]]) -> str:
    told = {f'{what}="{own}"': f'{what}="{there}"' for what, own, there in rules}
    return re.sub("|".join(map(re.escape, told)), lambda own: told[own[0]], svg)


def _without_ids(svg: str) -> str:
    return re.sub(r"(clip|gradient_)\d+", "", svg)


def test_pictures_in_one_page_share_no_id_and_say_what_they_show(evidence: Evidence) -> None:
    found = figures(evidence)
    assert found
    ids: list[str] = []
    for figure in found.values():
        root = ElementTree.fromstring(figure.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == figure.finding
        own = [node.get("id") for node in root.iter() if node.get("id")]
        used = re.findall(r"url\(#([^)]*)\)", figure.svg)
        assert set(used) <= set(own)
        ids += [str(each) for each in own]
    assert len(ids) == len(set(ids))


def test_geometry_is_rounded_and_texts_are_not() -> None:
    svg = (
        '<svg width="10" viewBox="0 0 10 10"><g class="mark" aria-label="a &lt;b&gt;">'
        '<path d="M1.23456,7.8e-7L2,3.999" clip-path="url(#clip1)"/><clipPath id="clip1"/>'
        "<text>0.123456</text></g></svg>"
    )
    assert inside_a_page(svg, "path", 'say "<x>"') == (
        '<svg viewBox="0 0 10 10" role="img" aria-label="say &quot;&lt;x&gt;&quot;"><g>'
        '<path d="M1.23,0L2,3.99" clip-path="url(#path-1)"/><clipPath id="path-1"/>'
        "<text>0.123456</text></g></svg>"
    )
