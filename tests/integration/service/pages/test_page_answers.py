"""Pages over HTTP: what they hold, what they let in, and that nothing of a client is HTML."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx
import pytest
from pages import NASTY, Seen, job_in, seen

from ridgeway.database.engine import Database
from ridgeway.plots.palette import colour, slot
from ridgeway.views import Job
from service.pages.assets import FOLDER, assets

ACTIONS = ("pause", "resume", "answer", "cancel", "extend", "delete")


@pytest.fixture
def pages(shown) -> dict[str, str]:
    """The addresses of every page, each with another thing to show."""
    own = {state: f"/jobs/{job}" for state, job in shown.jobs.items()}
    both = f"/compare?job={shown.jobs['succeeded']}&job={shown.jobs['running']}"
    return {
        "jobs": "/",
        "none": "/?name=nothing+is+called+so",
        "docs": "/docs",
        "compare": both,
        "missing": "/jobs/0198",
        **own,
    }


def look(shown, address: str) -> Seen:
    answer = httpx.get(shown.url + address, timeout=60)
    assert answer.status_code == 200, answer.text
    return seen(answer.text)


def test_every_page_lets_in_nothing_but_scripts_and_styles_of_the_service(shown, pages):
    for address in pages.values():
        answer = httpx.get(shown.url + address, timeout=60)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in policy
        found = seen(answer.text)
        assert all(own.get("src") for tag, own in found.elements if tag == "script")
        assert not [own for tag, own in found.elements if tag == "style" or "style" in own]
        assert not [own for _, own in found.elements if any(name[:2] == "on" for name in own)]
        every = [*found.all("a", "href"), *found.all("script", "src"), *found.all("link", "href")]
        assert not [link for link in every if urlsplit(link).netloc]
        assert len(set(found.all("main", "id"))) == 1


def test_what_a_page_needs_is_there(shown, pages):
    found = [look(shown, address) for name, address in pages.items() if name != "missing"]
    files = {src for page in found for src in page.all("script", "src")}
    files |= {href for page in found for href in page.all("link", "href")}
    assert len(files) == 5
    for file in files:
        answer = httpx.get(shown.url + file)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = httpx.get(shown.url + file, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_modules_import_modules_that_are_there_and_write_no_html(shown):
    names = {path.name for path in FOLDER.iterdir()}
    assert names == set(assets().files)
    for path in FOLDER.glob("*.js"):
        text = path.read_text()
        assert set(re.findall(r'(?:from|import) "\./([^"]+)"', text)) <= names
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        answer = httpx.get(f"{shown.url}/assets/{assets().digest}/{path.name}")
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


def test_a_file_is_found_by_pages_of_another_release_and_not_kept_for_them(shown):
    answer = httpx.get(f"{shown.url}/assets/0123456789abcdef/ridgeway.css")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    for name in ("nothing.js", "..%2fassets.py", "%2e%2e%2fassets.py"):
        assert httpx.get(f"{shown.url}/assets/{assets().digest}/{name}").status_code == 404


@pytest.mark.parametrize("penalty", ["none", "l1", "l0.5", "hierarchical", "a <plug>-in's {}"])
def test_penalties_have_the_plots_colours_in_the_style_sheet(penalty):
    style = assets().files["ridgeway.css"].decode()
    light, dark = re.findall(rf"\.{slot(penalty)}{{--penalty:(#\w+)}}", style)
    assert (light, dark) == (colour(penalty), colour(penalty, dark=True))
    assert re.fullmatch(r"[a-z0-9_-]+", slot(penalty))


def test_a_nasty_name_is_text_on_every_page(shown, pages):
    for name in ("jobs", "succeeded", "compare"):
        answer = httpx.get(shown.url + pages[name], timeout=60)
        assert NASTY in seen(answer.text).text
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
    asked = httpx.get(shown.url, params={"name": NASTY, "dataset": NASTY})
    assert asked.status_code == 200
    assert "<script>alert" not in asked.text
    assert NASTY in seen(asked.text).all("input", "value")


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/jobs/0198", 404, "There is no job 0198."),
        ("/jobs/%3Cscript%3E", 404, "There is no job '<script>'."),
        ("/?cursor=x", 422, "cursor"),
        ("/?name=%00", 422, "name"),
        ("/compare", 422, "must name 2 to 8 jobs"),
        ("/compare?job=0198&job=%00", 404, "There is no job"),
        ("/compare?job=0198&job=0199", 404, "There is no job 0198."),
    ],
)
def test_an_error_is_a_page_too(shown, address, status, words):
    answer = httpx.get(shown.url + address)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert words in seen(answer.text).text


# --- the list ---------------------------------------------------------------------------------


def listed(http: httpx.Client, address: str, **params: str) -> tuple[list[str], list[str]]:
    """Return the ids of the jobs that the page lists, and the links to older ones."""
    answer = http.get(address, params=params or None)
    assert answer.status_code == 200, answer.text
    page = seen(answer.text)
    older = [own["href"] for tag, own in page.elements if tag == "a" and own.get("rel") == "next"]
    return page.all("input", "value")[1:] if "job" in page.all("input", "name") else [], older


def test_jobs_are_found_by_state_data_set_and_a_part_of_their_name(http):
    spec = {"model": {"kind": "linear"}, "trials": 5}
    made = {
        name: http.post("/v1/jobs", json={**spec, "dataset": dataset, "name": name}).json()["id"]
        for name, dataset in (("Ärzte 100%", "wine"), ("Second", "wine"), ("third", "diabetes"))
    }
    http.post(f"/v1/jobs/{made['Second']}/cancel")
    for asked, names in (
        ({"name": "SEC"}, ["Second"]),
        ({"name": "100%"}, ["Ärzte 100%"]),
        ({"name": "%"}, ["Ärzte 100%"]),
        ({"dataset": "wine"}, ["Second", "Ärzte 100%"]),
        ({"dataset": "wine", "state": "cancelled"}, ["Second"]),
        ({"state": "queued", "name": "ir"}, ["third"]),
        ({"state": "no state"}, ["third", "Second", "Ärzte 100%"]),
    ):
        assert listed(http, "/", **asked)[0] == [made[name] for name in names], asked
    assert "No job is like that" in http.get("/", params={"name": "fourth"}).text


def test_pages_of_a_list_show_every_job_once(http, database: Database):
    made = [job_in(database, "queued", name=f"same {n}") for n in range(35)]
    job_in(database, "queued", name="another")
    first, older = listed(http, "/?name=same")
    second, end = listed(http, older[0])
    assert first + second == made[::-1]
    assert (len(first), end) == (30, [])


def test_the_first_page_of_a_new_service_says_how_to_begin(http):
    page = seen(http.get("/").text)
    assert "Start the first job" in page.text
    assert {"/jobs/new", "/datasets"} <= set(page.all("a", "href"))


# --- a job ------------------------------------------------------------------------------------


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("queued", {"pause", "extend", "cancel"}),
        ("running", {"pause", "answer", "extend", "cancel"}),
        ("paused", {"resume", "answer", "extend", "cancel"}),
        ("succeeded", {"extend", "delete"}),
        ("failed", {"delete"}),
        ("cancelled", {"delete"}),
    ],
)
def test_a_button_is_there_where_its_call_is_taken(http, database: Database, state, offered):
    def call(action: str) -> int:
        job = job_in(database, state)
        page = seen(http.get(f"/jobs/{job}").text)
        assert set(page.all("button", "data-action")) == offered
        method = "DELETE" if action == "delete" else "POST"
        path = f"/v1/jobs/{job}" + ("" if action == "delete" else f"/{action}")
        if action in offered:
            own = next(own for _, own in page.elements if own.get("data-action") == action)
            assert (own["data-method"], own["data-path"]) == (method, path)
        body = {"trials": 3} if action == "extend" else None
        status = http.request(method, path, json=body).status_code
        http.post(f"/v1/jobs/{job}/cancel")
        return status

    taken = {action for action in ACTIONS if call(action) in (200, 204)}
    assert taken == offered


def test_a_grid_that_is_all_in_the_budget_has_no_button_for_more(http):
    grid = {"penalty": ["none", "l1"], "lambda": [0.1, 0.01]}
    spec = {"dataset": "wine", "model": {"kind": "linear"}, "sampler": "grid", "search": grid}
    job = Job.model_validate(http.post("/v1/jobs", json=spec).json())
    assert job.progress.trials == 3
    actions = seen(http.get(f"/jobs/{job.id}").text).all("button", "data-action")
    assert "extend" not in actions
    assert http.post(f"/v1/jobs/{job.id}/extend", json={"trials": 1}).status_code == 422


def test_an_answered_job_says_its_verdict_and_links_to_files_that_are_there(shown, pages):
    page = look(shown, pages["succeeded"])
    job = Job.model_validate(httpx.get(f"{shown.url}/v1{pages['succeeded']}").json())
    assert job.recommended is not None
    assert job.recommended.verdict is not None
    for sentence in job.recommended.verdict.sentence.rstrip(".").split(". "):
        assert sentence in page.text
    for check in job.recommended.checks:
        assert check.code in page.text
    links = [href for href in page.all("a", "href") if href.startswith("/v1/")]
    assert {f"/v1/jobs/{job.id}/model?format={kind}" for kind in ("onnx", "sklearn", "card")} < {
        *links
    }
    assert job.links.report in links
    for link in set(links) - {job.links.report}:  # which takes seconds to draw
        with httpx.stream("GET", shown.url + link, timeout=60) as answer:
            assert answer.status_code == 200, link


def test_a_running_job_says_how_far_it_is_and_what_is_best(shown, pages):
    page = look(shown, pages["running"])
    job = Job.model_validate(httpx.get(f"{shown.url}/v1{pages['running']}").json())
    done = job.progress.complete + job.progress.failed
    assert f"{done} of 40 trials done" in page.text
    assert page.all("progress", "value") == [f"{job.progress.fraction:.4f}"]
    assert "Best loss so far" in page.text
    assert "No worker is running" in page.text


def test_a_failed_job_says_why_and_what_to_do(shown, pages):
    page = look(shown, pages["failed"])
    assert "Most often: diverged" in page.text
    assert "search lower ones" in page.text


def test_a_job_of_another_release_is_shown_as_far_as_it_can_be_read(http, database: Database):
    import sqlalchemy as sa

    from ridgeway.database.tables import jobs

    job = job_in(database, "queued", name="from afar")
    with database.transaction() as transaction:
        change = {"spec": {"dataset": 7, "shape": "<b>odd</b>"}, "state": "dreaming"}
        transaction.execute(sa.update(jobs).where(jobs.c.id == job).values(change))
    for address in ("/", f"/jobs/{job}"):
        answer = http.get(address)
        assert answer.status_code == 200, answer.text
        assert "from afar" in answer.text
        assert "<b>odd" not in answer.text


# --- compared ---------------------------------------------------------------------------------


def test_jobs_side_by_side_show_what_they_asked_for_differently(http, database: Database):
    one = job_in(database, "queued", seed=1, name="one")
    two = job_in(database, "queued", seed=2, name="two", epochs=31)
    text = seen(http.get("/compare", params={"job": [one, two, one]}).text).text
    assert "2 jobs beside each other" in text
    assert all(words in text for words in ("seed", "epochs", "31"))
    assert "batch_size" not in text


# --- the reference ----------------------------------------------------------------------------


def test_the_reference_names_every_call_and_shape_and_its_links_lead_somewhere(shown):
    document = httpx.get(f"{shown.url}/openapi.json").json()
    page = look(shown, "/docs")
    for path, item in document["paths"].items():
        for method in item:
            assert f"{method.upper()} {path}" in " ".join(page.text.split())
    places = {own["id"] for _, own in page.elements if "id" in own}
    assert {f"shape-{name}" for name in document["components"]["schemas"]} <= places
    inner = {href[1:] for href in page.all("a", "href") if href.startswith("#")}
    assert inner <= places
