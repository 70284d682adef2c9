"""A request for a job as text to be copied: for curl, for Python, and for a shell."""

from __future__ import annotations

import json
import pprint
import shlex
from collections.abc import Mapping

from pydantic import JsonValue

WIDTH = 88

# What a service behind keys asks for; nothing where the variable is not set.
_KEY = '${RIDGEWAY_API_KEY:+-H "Authorization: Bearer $RIDGEWAY_API_KEY"}'


def as_json(body: Mapping[str, JsonValue]) -> str:
    """Write a request's body; what no terminal should be given is escaped."""
    text = json.dumps(body, indent=2, ensure_ascii=False)
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return json.dumps(body, indent=2)


def as_curl(body: Mapping[str, JsonValue], url: str) -> str:
    """Write the call of curl that submits the body to the service at the URL."""
    address = shlex.quote(f"{url.rstrip('/')}/v1/jobs")
    lines = (
        f"curl -sS {address} {_KEY}",
        "  -H 'Content-Type: application/json'",
        f"  -d {shlex.quote(as_json(body))}",
    )
    return " \\\n".join(lines)


def as_python(body: Mapping[str, JsonValue], url: str) -> str:
    """Write the Python that submits the body: whatever is in it, it is never more than literals."""
    fields = (f"    {name}={_literal(value, len(name) + 5)},\n" for name, value in body.items())
    return (
        "from ridgeway import Client\n\n"
        f"client = Client({url.rstrip('/')!r})\n"
        f"job = client.submit(\n{''.join(fields)})\n"
        "print(job.id)\n"
    )


def predict_by_curl(job_id: str, url: str) -> str:
    """Write the call of curl that predicts the rows of a CSV file with a job's model."""
    address = shlex.quote(f"{url.rstrip('/')}/v1/jobs/{job_id}/predict")
    return f"curl -sS {address} {_KEY} \\\n  -H 'Content-Type: text/csv' --data-binary @new.csv"


def predict_in_python(job_id: str, url: str) -> str:
    """Write the Python that predicts the rows of a CSV file, whatever parts its cells."""
    return (
        "import pandas\nimport ridgeway\n\n"
        f"model = ridgeway.load_model({job_id!r}, {url.rstrip('/')!r})\n"
        'table = pandas.read_csv("new.csv", sep=None, engine="python")\n'
        "model.predict(table)"
    )


def as_shell(body: Mapping[str, JsonValue], url: str) -> str:
    """Write the command that submits the body; no line of indented JSON is the end's mark."""
    address = shlex.quote(url.rstrip("/"))
    return f"ridgeway submit - --url {address} <<'SPEC'\n{as_json(body)}\nSPEC\n"


def _literal(value: JsonValue, indent: int) -> str:
    text = pprint.pformat(value, width=WIDTH - indent, compact=True, sort_dicts=False)
    return text.replace("\n", "\n" + " " * indent)
