"""The log: to standard error, for a person on a terminal, as JSON lines for everything else.

Every process calls `log_to_standard_error` once; modules go on asking for `logging.getLogger`. What
is known of the work at hand is bound once, and stands on each line that is logged meanwhile:

    with about(job=lease.job_id, lease=lease.id):
        log.info("population %d: trained", ordinal)
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import SecretStr
from structlog.contextvars import bind_contextvars, bound_contextvars, merge_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from ridgeway.settings import Settings

MASK = "***"
SHORTEST_SECRET = 4  # characters; to mask each "a" would leave no log
TALKATIVE = ("httpx", "httpcore", "alembic", "asyncio")  # logged from warnings on

about = bound_contextvars  # with about(job=...): each line inside says so
note = bind_contextvars  # note(job=...): each line from here on in this request


def log_to_standard_error(settings: Settings, stream: IO[str] | None = None) -> None:
    """Log what this process and its libraries say, as the settings ask; secrets are masked."""
    handler = logging.StreamHandler(stream)
    terminal = handler.stream.isatty()
    form = settings.log_format
    if form == "auto":
        form = "text" if terminal else "json"
    colours = terminal and "NO_COLOR" not in os.environ
    handler.setFormatter(_formatter(form, colours, secrets_of(settings)))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for talkative in TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.WARNING)
    # Whoever has imported Optuna has its own handler, which writes in a way of its own.
    optuna = logging.getLogger("optuna")
    optuna.handlers.clear()
    optuna.propagate = True


def secrets_of(settings: Settings) -> set[str]:
    """Return what must not be logged: each secret setting; of a URL its password alone."""
    found = {os.environ.get("PGPASSWORD", "")}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
    url = settings.database_url
    if url is not None:
        found.discard(url.get_secret_value())
        password = urlsplit(url.get_secret_value()).password or ""
        found |= {password, unquote(password)}
    return found


class Redactor:
    """A processor of structlog's that masks secrets in every text of a line, tracebacks included.

    secrets: those that this process knows. What looks like a password in a URL, in libpq's words or
    in a header, and any webhook secret, is masked whoever's it is.
    """

    _PATTERNS = (
        (re.compile(r"(://[^/\s:@]*:)[^/\s@]+(@)"), rf"\g<1>{MASK}\g<2>"),
        (re.compile(r"(?i)\b(password\s*=\s*)('[^']*'|\S+)"), rf"\g<1>{MASK}"),
        (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+"), rf"\g<1>{MASK}"),
        (re.compile(r"\bwhsec_[\w+/=-]+"), MASK),
        (
            re.compile(r"\b(rw_[0-9a-f]{8}_)[\w-]+"),
            rf"\g<1>{MASK}",
        ),  # a key's beginning is its name
    )

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first: one secret may hold another.
        long = sorted((s for s in set(secrets) if len(s) >= SHORTEST_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, long))) if long else None

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        """Return the line with all of its texts masked."""
        return {
            name: value if isinstance(value, bool | int | float | None) else self.masked(str(value))
            for name, value in line.items()
        }

    def masked(self, text: str) -> str:
        """Return a text without its secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for pattern, instead in self._PATTERNS:
            text = pattern.sub(instead, text)
        return text


def _formatter(
    form: str, colours: bool, secrets: Iterable[str]
) -> structlog.stdlib.ProcessorFormatter:
    shown: Processor = structlog.processors.JSONRenderer()
    if form == "text":
        shown = structlog.dev.ConsoleRenderer(
            colors=colours, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _stamper(form),
            _add_process,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            Redactor(secrets),
            shown,
        ],
    )


def _stamper(form: str) -> Processor:
    """Return what adds the time: to the second by a person's clock, or by ISO 8601 in UTC."""
    if form == "text":
        return structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False)
    return structlog.processors.TimeStamper(fmt="iso", utc=True)


def _add_process(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Say which process it is: those of one supervisor share a log."""
    record: Any = line["_record"]
    line["pid"] = record.process
    return line
