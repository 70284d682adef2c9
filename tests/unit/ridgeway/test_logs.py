"""The log: a line a record, for people or as JSON, with what is known of the work, no secrets."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ridgeway.logs import MASK, Redactor, about, log_to_standard_error, secrets_of
from ridgeway.settings import Settings

PASSWORD, SECRET = "pa%73s-1234", "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
URL = f"postgresql://search:{PASSWORD}@db.example/ridgeway"


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave logging as it was found, and no secret of this machine's in the way."""
    root, optuna = logging.getLogger(), logging.getLogger("optuna")
    handlers, level = root.handlers[:], root.level
    own, propagate = optuna.handlers[:], optuna.propagate
    for name in ("RIDGEWAY_DATABASE_URL", "PGPASSWORD", "RIDGEWAY_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    optuna.handlers[:], optuna.propagate = own, propagate


class Terminal(io.StringIO):
    """A stream that says that a person reads it."""

    def isatty(self) -> bool:
        return True


def logged(stream: io.StringIO, **settings: Any) -> logging.Logger:
    logging.getLogger().handlers.clear()  # pytest's: a process that starts has none
    log_to_standard_error(Settings(**settings), stream)
    return logging.getLogger("ridgeway.worker")


@pytest.mark.usefixtures("anew")
def test_a_line_that_no_terminal_shows_is_one_json_object_with_all_that_is_bound() -> None:
    stream = io.StringIO()
    log = logged(stream)
    with about(job="j-1", lease=7), about(trials="4-7"):
        log.info("population %d: trained\nin two lines", 3)
    log.debug("not asked for")
    log.warning("alone")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["event"] == "population 3: trained\nin two lines"
    assert (first["job"], first["lease"], first["trials"]) == ("j-1", 7, "4-7")
    assert (first["level"], first["logger"]) == ("info", "ridgeway.worker")
    assert first["pid"] == os.getpid()
    assert "job" not in second


@pytest.mark.usefixtures("anew")
def test_a_terminal_and_the_setting_text_give_lines_for_people(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with about(job="j-1"):
        logged(stream).info("ready")
    assert "[info" in stream.getvalue()
    assert "ready" in stream.getvalue()
    assert "job=j-1" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.usefixtures("anew")
def test_the_setting_wins_over_what_the_stream_is() -> None:
    stream = Terminal()
    logged(stream, log_format="json").info("ready")
    assert json.loads(stream.getvalue())["event"] == "ready"


@pytest.mark.usefixtures("anew")
def test_libraries_and_tracebacks_go_the_same_way_and_show_no_secret() -> None:
    import optuna  # noqa: F401 - which gives its logger a handler, and lets nothing through

    stream = io.StringIO()
    logged(stream, database_url=URL, api_key="key-of-a-client")
    try:
        raise ValueError(f"no connection to {URL}, password=geheim, not pass-1234")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("with key-of-a-client and %s", SECRET)
    with about(url=URL):
        logging.getLogger("optuna").error("Authorization: Bearer abc.def-123")
    text = stream.getvalue()
    first, second = map(json.loads, text.splitlines())
    assert "ValueError" in first["exception"]
    for secret in (PASSWORD, "pass-1234", "geheim", "key-of-a-client", SECRET, "abc.def-123"):
        assert secret not in text
    assert second["url"] == f"postgresql://search:{MASK}@db.example/ridgeway"


def test_of_a_database_s_url_the_password_alone_is_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", "by-libpq")
    secrets = secrets_of(Settings(database_url=URL, api_key="k-1"))  # type: ignore[arg-type]
    assert secrets >= {PASSWORD, "pass-1234", "by-libpq", "k-1"}
    assert URL not in secrets


def test_a_secret_inside_another_leaves_no_rest_and_short_ones_no_holes() -> None:
    masked = Redactor({"abcd", "abcd-efgh", "x"}).masked("abcd-efgh and abcd x")
    assert masked == f"{MASK} and {MASK} x"


def test_a_first_start_says_nothing_and_none_of_alembic_s_steps(tmp_path: Path) -> None:
    environment = {**os.environ, "RIDGEWAY_DATA": str(tmp_path), "RIDGEWAY_LOG_LEVEL": "debug"}
    environment.pop("RIDGEWAY_DATABASE_URL", None)
    argv = [sys.executable, "-m", "ridgeway.host.upkeep", "prepare"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
