"""What every answer tells browsers: no script, no frame, no guess; but for what is kept already."""

from __future__ import annotations

import pytest
from keyed import filled, routes

from service.harmless import NOTHING
from service.pages.environment import POLICY

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_every_answer_has_a_policy_and_is_what_it_says(served, http):
    paths = {path for _, path in routes(served.app)}
    proxied = ("/dashboard", "/api/", "/csv/", "/static/", "/favicon")
    for path in sorted(each for each in paths if not each.startswith(proxied)):
        for method in ("GET", "POST"):  # also those that no route has
            answer = http.request(method, filled(path))
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy, path
            assert answer.headers["x-content-type-options"] == "nosniff"
            if answer.headers.get("content-type", "").startswith("application/"):
                assert policy == NOTHING, path


@pytest.mark.parametrize(
    ("told", "status"), [({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)]
)
def test_refusals_have_it_too(http, told, status):
    answer = http.post("/v1/jobs", headers=told)
    assert (answer.status_code, answer.headers["content-security-policy"]) == (status, NOTHING)


def test_a_page_keeps_its_own_policy_and_one_that_has_not_changed_is_told_none(http):
    page = http.get("/")
    assert page.headers.get_list("content-security-policy") == [POLICY]
    assert page.headers.get_list("x-content-type-options") == ["nosniff"]
    first = http.get("/v1/datasets/wine")
    same = http.get("/v1/datasets/wine", headers={"If-None-Match": first.headers["etag"]})
    assert same.status_code == 304
    assert "content-security-policy" not in same.headers
