"""Every problem's `type` is the address of a page, and a section of docs/problems.md."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from ridgeway.settings import Settings
from service.app import create_app
from service.problem_types import BY_NAME, TYPES, UNKNOWN
from service.problems import problem

REPOSITORY = Path(__file__).parents[3]
APP = create_app(Settings())


def get(path: str) -> httpx.Response:
    """Ask the application itself, without its lifespan: these pages need no database."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    return asyncio.run(ask())


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_document_has_the_list_s_kinds_in_its_order_and_words():
    page = (REPOSITORY / "docs" / "problems.md").read_text()
    _, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    told = [
        f"{kind.title} `{kind.uri}`, status {kind.status}. {kind.meaning} {kind.remedy}"
        for kind in TYPES.values()
    ]
    assert [words(section) for section in sections] == told


def test_openapi_names_the_same_types():
    shape = APP.openapi()["components"]["schemas"]["Problem"]["properties"]["type"]
    assert shape["enum"] == [*(kind.uri for kind in TYPES.values()), UNKNOWN]


def test_every_status_that_the_source_answers_has_a_kind():
    source = "\n".join(path.read_text() for path in (REPOSITORY / "service").rglob("*.py"))
    stated = re.findall(r"\b(?:problem|HTTPException|problems)\(([\d, ]+)", source)
    stated += re.findall(r"HTTPStatus\.([A-Z_]+)", source)
    statuses = {
        int(HTTPStatus[word]) if word.isupper() else int(word)
        for text in stated
        for word in re.split(r"[ ,]+", text)
        if word
    }
    assert {404, 409, 422, 503} < statuses
    assert statuses <= TYPES.keys()


@pytest.mark.parametrize("status", TYPES)
def test_a_problem_s_type_leads_to_its_page(status):
    body = problem(status, "so").body
    kind = TYPES[status]
    assert f'"type": "{kind.uri}"'.encode() in body
    page = get(kind.uri)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    shown = re.sub(r"<[^>]*>", "", page.text).replace("&#x27;", "'").replace("&quot;", '"')
    assert kind.meaning.replace("`", "") in shown
    assert kind.remedy.replace("`", "") in shown
    assert kind.uri.removeprefix("/problems/") in BY_NAME


def test_a_kind_that_is_none_is_itself_a_problem():
    answer = get("/problems/<script>")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    index = get("/problems").text
    assert all(f"<h1>{kind.title}" in index for kind in TYPES.values())
