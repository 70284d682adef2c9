"""Requests as code: each piece is run, and asks for the body that it was made of."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pytest
from pydantic import JsonValue

from ridgeway.spec import snippets

NASTY = 'it\'s "$(id)" `id` \\ \n SPEC\nSPEC \u202e\x1b[31m é </script>{{7*7}}'
BODIES: list[dict[str, JsonValue]] = [
    {"dataset": "digits"},
    {"dataset": NASTY, "drop": [NASTY, "'"], "name": "SPEC"},
    {
        "dataset": "wine",
        "search": {"penalty": ["l1", "l2"], "lambda": {"low": 1e-6, "high": 1.0, "log": True}},
        "early_stopping": None,
        "drop": [f"a column of a long name, number {place}" for place in range(40)],
    },
]
RECORDING = """#!/usr/bin/env python3
import json, os, sys
body = sys.stdin.read() if "-" in sys.argv else sys.argv[sys.argv.index("-d") + 1]
with open(os.environ["TOLD"], "w") as file:
    json.dump({"arguments": sys.argv[1:], "body": json.loads(body)}, file)
"""


def run(code: str, name: str, folder: Path, **environment: str) -> dict[str, Any]:
    """Run code of a shell in which the command of this name writes down what it is told."""
    command, told = folder / name, folder / "told.json"
    command.write_text(RECORDING)
    command.chmod(0o755)
    path = {"PATH": f"{folder}:/usr/bin:/bin", "TOLD": str(told)}
    subprocess.run(["bash", "-eu", "-c", code], check=True, env=path | environment, cwd=folder)
    return json.loads(told.read_text())


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://host.example/"])
def test_curl_posts_the_body(body: dict[str, JsonValue], url: str, tmp_path: Path):
    told = run(snippets.as_curl(body, url), "curl", tmp_path)
    assert told["body"] == body
    assert f"{url.rstrip('/')}/v1/jobs" in told["arguments"]
    assert not any("Authorization" in each for each in told["arguments"])


def test_curl_shows_a_key_where_there_is_one(tmp_path: Path):
    code = snippets.as_curl({"dataset": "digits"}, "http://host")
    told = run(code, "curl", tmp_path, RIDGEWAY_API_KEY="a key")
    assert "Authorization: Bearer a key" in told["arguments"]


@pytest.mark.parametrize("body", BODIES)
def test_the_shell_submits_the_body(body: dict[str, JsonValue], tmp_path: Path):
    told = run(snippets.as_shell(body, "http://host"), "ridgeway", tmp_path)
    assert told["body"] == body
    assert told["arguments"] == ["submit", "-", "--url", "http://host"]


@pytest.mark.parametrize("body", BODIES)
def test_python_submits_the_body_in_literals(body: dict[str, JsonValue]):
    tree = ast.parse(snippets.as_python(body, "http://host"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (submit,) = [
        call
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "submit"
    ]
    assert submit.args == []
    assert {each.arg: ast.literal_eval(each.value) for each in submit.keywords} == body


@pytest.mark.parametrize("body", BODIES)
def test_no_piece_holds_what_a_terminal_acts_on(body: dict[str, JsonValue]):
    for piece in (snippets.as_curl, snippets.as_python, snippets.as_shell):
        text = piece(body, "http://host")
        assert all(line.isprintable() for line in text.split("\n"))


def test_new_rows_go_to_the_jobs_model_with_a_key_where_there_is_one(tmp_path: Path):
    code = snippets.predict_by_curl("0198", "https://host.example/")
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$TOLD"\n')
    (tmp_path / "curl").chmod(0o755)
    path, told = f"{tmp_path}:/usr/bin:/bin", tmp_path / "told"
    for key, header in ((None, []), ("a key", ["-H", "Authorization: Bearer a key"])):
        keyed = {} if key is None else {"RIDGEWAY_API_KEY": key}
        environment = {"PATH": path, "TOLD": str(told), **keyed}
        subprocess.run(["bash", "-eu", "-c", code], check=True, env=environment)
        address, *rest = told.read_text().splitlines()[1:]
        assert address == "https://host.example/v1/jobs/0198/predict"
        csv = ["-H", "Content-Type: text/csv", "--data-binary", "@new.csv"]
        assert rest == [*header, *csv]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_python_reads_new_rows_whatever_parts_their_cells(separator: str, tmp_path: Path):
    seen: list[pandas.DataFrame] = []
    model = SimpleNamespace(predict=seen.append)
    lines = (separator.join(row) for row in (["age", "city"], ["31", "Oslo"], ["45", "Rome"]))
    (tmp_path / "new.csv").write_text("\n".join(lines))
    code = snippets.predict_in_python("0198", "http://host/").replace("import ridgeway\n", "")
    code = code.replace('"new.csv"', repr(str(tmp_path / "new.csv")))
    exec(code, {"ridgeway": SimpleNamespace(load_model=lambda *told: model)})
    assert seen[0].to_dict("list") == {"age": [31, 45], "city": ["Oslo", "Rome"]}
