"""What a job prints is passed on up to a limit; what Ridgeway says always is."""

from __future__ import annotations

import logging

from workers.loop.output import MOST_CHARACTERS, Output


def record(name: str, message: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.INFO, __file__, 1, "%s", (message,), None)


def test_a_job_prints_up_to_the_limit_and_is_told_once() -> None:
    output = Output()
    output.job = "a"
    texts = [output.kept_of("x" * 1000) for _ in range(100)]
    assert sum(text.count("x") for text in texts) == MOST_CHARACTERS
    assert sum("what follows is dropped" in text for text in texts) == 1
    assert texts[-1] == ""


def test_each_job_has_a_limit_of_its_own_and_an_idle_worker_none() -> None:
    output = Output()
    for job in ("a", "b", "a"):
        output.job = job
        kept = output.kept_of("x" * MOST_CHARACTERS)
    assert kept == ""  # a's second
    output.job = None
    assert output.kept_of("y" * 2 * MOST_CHARACTERS) == "y" * 2 * MOST_CHARACTERS


def test_loggers_of_plugins_are_counted_and_ours_are_not() -> None:
    output = Output()
    output.job = "a"
    assert output.filter(record("plugin", "x" * MOST_CHARACTERS))
    assert not output.filter(record("plugin", "more"))
    assert output.filter(record("ridgeway.worker", "still heard"))
