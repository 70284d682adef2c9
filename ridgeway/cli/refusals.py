"""Errors as a command tells them: one message on standard error, and an exit code."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import click
from pydantic import ValidationError

from ridgeway.errors import InvalidInput, JobFailed, NothingThere, RidgewayError, Unreachable
from ridgeway.settings import refusals

FAILED, BAD_INPUT, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130


class Commands(click.Group):
    """A group of commands that turns our errors into a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidInput as error:
            _refuse(error)
        except ValidationError as error:
            _refuse_settings(error)
        except JobFailed as error:
            _end(FAILED, str(error))
        except NothingThere as error:
            told = str(error).removesuffix(".")
            _end(UNREACHABLE, f"{told}; --url or RIDGEWAY_URL names another.")
        except Unreachable as error:
            _end(UNREACHABLE, str(error))
        except RidgewayError as error:
            _end(BAD_INPUT, str(error))
        except KeyboardInterrupt:
            _end(INTERRUPTED, "Interrupted. A job that was submitted goes on.")


def _end(code: int, message: str) -> NoReturn:
    from ridgeway.client.plain import plain

    click.echo(plain(message), err=True)
    sys.exit(code)


def _refuse(error: InvalidInput) -> NoReturn:
    """Tell every bad field with its value and what would be accepted."""
    if not error.errors:
        _end(BAD_INPUT, str(error))
    lines = [
        f"  {field.field or 'body'}{_met(field.value)}: {field.message}" for field in error.errors
    ]
    _end(BAD_INPUT, "\n".join(["Not accepted:", *lines]))


def _met(value: Any) -> str:
    return "" if value is None else f" = {json.dumps(value, default=str, ensure_ascii=False)}"


def _refuse_settings(error: ValidationError) -> NoReturn:
    lines = [f"  {told}" for told in refusals(error)]
    _end(BAD_INPUT, "\n".join(["Not accepted from the environment:", *lines]))
