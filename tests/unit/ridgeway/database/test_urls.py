"""URLs of databases are taken as libpq takes them, several servers too, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import make_url

from ridgeway.database.urls import PRIMARY, checked_url, servers
from ridgeway.errors import InvalidInput
from ridgeway.operate.dumps import _environment

ONE = [
    "postgresql://ann@db1/jobs",
    "postgresql://ann:s%2Cecret%40x@db1:5433/jobs?sslmode=require",
    "postgresql:///jobs?host=/run/postgresql&port=5433",
    "postgresql://db1:5433/jobs?target_session_attrs=primary",
]
SEVERAL = [
    "postgresql://ann:secret@db1:5432,db2:5433/jobs",
    "postgresql://ann:s%2Cecret%40x@db1,db2/jobs?sslmode=require",
    "postgresql://db1:5432,db2/jobs?target_session_attrs=primary",
    "postgresql://[::1]:5432,[fd00::2]:5433/jobs",
    "postgresql://db1:1,db2:2,db3:3",
    "postgresql:///jobs?host=db1,db2&port=5432,5433",
    "postgresql:///jobs?host=/run/a,/run/b",
]


def told_to_libpq(url: str) -> dict[str, str]:
    """What the driver is called with for a URL of ours."""
    _, options = PGDialect_psycopg().create_connect_args(checked_url(url))
    return without_blanks(options)


def without_blanks(options: Mapping[str, object]) -> dict[str, str]:
    """Without ports that are all the usual one, as libpq writes them: `,`."""
    return {name: str(value) for name, value in options.items() if str(value).strip(",")}


@pytest.mark.parametrize("url", [*ONE, *SEVERAL])
def test_libpq_is_told_what_it_would_have_read(url):
    expected = without_blanks(conninfo_to_dict(url))
    if url in SEVERAL:
        expected.setdefault("target_session_attrs", PRIMARY)
    assert told_to_libpq(url) == expected


@pytest.mark.parametrize("url", [*ONE, *SEVERAL])
def test_pg_dump_is_told_the_same(url):
    told, environment = told_to_libpq(url), _environment(checked_url(url))
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    names |= {"dbname": "PGDATABASE", "target_session_attrs": "PGTARGETSESSIONATTRS"}
    for name, variable in names.items():
        found = environment.get(variable, "")
        assert (found if found.strip(",") else "") == told.get(name, ""), name


def test_sqlalchemys_own_form_of_several_servers_is_taken_too():
    url = "postgresql+psycopg:///jobs?host=db1:5432&host=db2:5433"
    assert told_to_libpq(url)["host"] == "db1,db2"
    assert told_to_libpq(url)["target_session_attrs"] == PRIMARY
    assert servers(checked_url(url)) == ("db1,db2", "5432,5433")


@pytest.mark.parametrize("url", SEVERAL)
def test_it_can_be_written_down_and_read_again(url):
    """As it goes to Optuna and to the dashboard's process."""
    once = checked_url(url)
    assert make_url(once.render_as_string(hide_password=False)) == once


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://db1:5432,:5433/jobs", "is no database URL"),
        ("postgresql://db1,,db2/jobs", "is no database URL"),
        ("postgresql://ann:hunter2@db1:port/jobs", "is no database URL"),
        ("postgresql://db1,db2/jobs?target_session_attrs=any", "read-write, primary"),
        ("postgresql://db1/jobs?target_session_attrs=standby", "read-write, primary"),
        ("mysql://db1/jobs", "must be sqlite:///FILE or postgresql"),
        ("mysql://db1,db2/jobs", "must be sqlite:///FILE or postgresql"),
        ("sqlite:///:memory:", "must be sqlite:///FILE or postgresql"),
    ],
)
def test_what_can_not_be_used_is_refused_without_its_password(url, told):
    with pytest.raises(InvalidInput, match=told) as refused:
        checked_url(url)
    assert "RIDGEWAY_DATABASE_URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)
