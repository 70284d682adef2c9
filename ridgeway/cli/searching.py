"""The command that searches a data file here and now, without a service."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ridgeway.cli.options import header_option, json_option, print_json
from ridgeway.cli.refusals import INTERRUPTED
from ridgeway.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from ridgeway.spec.profiles import DatasetProfile

# What a command needs is imported in it: `--help` must stay quick.

OPTIONS = {  # by the field of a spec that they stand for
    "target": "--target",
    "model.kind": "--model",
    "task": "--task",
    "loss": "--loss",
    "search.penalty": "--penalty",
    "groups": "--groups",
    "weights": "--weights",
    "drop": "--drop",
    "columns": "--column",
    "validation.folds": "--folds",
    "out": "--out",
}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--target", help="The column to predict; the last one by default.")
@click.option(
    "--model", default="linear", show_default=True, help="linear, mlp, or a plug-in's name."
)
@click.option(
    "--trials",
    type=click.IntRange(1, 1_000_000),
    default=200,
    show_default=True,
    help="How many trials to search.",
)
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="Told from the target by default.",
)
@click.option(
    "--loss",
    type=click.Choice(["huber", "poisson", "quantile"]),
    help="Of a regression: huber for outliers, poisson for counts. Default: the squared error.",
)
@click.option(
    "--quantile",
    type=click.FloatRange(0.0001, 0.9999),
    help="With --loss quantile: which one.  [default: 0.5]",
)
@click.option("--penalty", multiple=True, help="Search this one; may be repeated. Default: five.")
@click.option("--groups", help="A column whose equal values stay in one split.")
@click.option("--weights", help="A column of sample weights; it is no input.")
@click.option("--drop", multiple=True, help="A column that is no input; may be repeated.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=KIND",
    help="Take a column as number, category, date, drop, ...; may be repeated.",
)
@header_option
@click.option("--folds", type=click.IntRange(2, 100), default=5, show_default=True, help="Folds.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of all draws."
)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), help="Search no longer than this."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Workers, this process among them.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the answer; FILE's name with -answer by default.",
)
@json_option
def search(file: Path, out: Path | None, as_json: bool, **asked: Any) -> None:
    """Search FILE for its penalty, here: no service, no spec. CSV (gzip too), Parquet or npz.

    Tells what is made of each column, prints the answer, and writes it into a folder:
    model.safetensors, report.html, answer.json and job.json.
    `ridgeway predict OUT/model.safetensors NEW.csv` predicts with it.
    """
    from ridgeway.host.roles import require_installed

    require_installed("database", "workers")
    from ridgeway.client.show import job_summary, write
    from ridgeway.client.show_datasets import column_table, notices
    from ridgeway.local.search import DataFile
    from ridgeway.local.search import search as run
    from ridgeway.local.working import Crew

    folder = out or Path(f"{file.name.partition('.')[0] or 'data'}-answer")
    crew = Crew(asked.pop("processes"), bar=True)
    data = DataFile(file, asked.pop("header"))

    def tell(profile: DatasetProfile) -> None:
        for part in (column_table(profile.columns), *notices(profile.warnings, profile.columns)):
            write(part, stderr=True)

    # Who is asked to end leaves as little as who is interrupted.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        finished = run(data, _fields(asked), crew, folder, tell)
    except InvalidInput as error:
        raise InvalidInput(str(error), [_by_option(own, file) for own in error.errors]) from None
    except KeyboardInterrupt:
        click.echo("Interrupted. Nothing of it is left.", err=True)
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
    if as_json:
        print_json(finished.job)
        return
    write(job_summary(finished.job))
    write(f"\nIn {folder}: {', '.join(sorted(each.name for each in folder.iterdir()))}")


def _by_option(error: FieldError, file: Path) -> FieldError:
    """Return the error with the names that the command has for a field, and for the rows."""
    if error.field == "dataset":
        message = error.message.replace("`drop`", "`--drop`").replace("`groups`", "`--groups`")
        message = message.replace("`columns`", "`--column`")
        return FieldError("FILE", str(file), message)
    if error.field.startswith("columns."):
        name = error.field.removeprefix("columns.")
        return FieldError("--column", f"{name}={error.value}", error.message)
    field = error.field.rstrip("0123456789").rstrip(".")  # of a list: which of them
    return FieldError(OPTIONS.get(field, error.field), error.value, error.message)


def _kinds(given: Sequence[str]) -> dict[str, str]:
    """Return kinds by column from NAME=KIND, whose name may have an = in it."""
    found: dict[str, str] = {}
    for each in given:
        name, between, kind = each.rpartition("=")
        if not between or not name:
            raise InvalidInput.of("--column", each, "must be NAME=KIND, such as zip=category")
        found[name] = kind
    return found


def _fields(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a spec that the options stand for."""
    fields: dict[str, Any] = {
        "model": {"kind": asked["model"]},
        "validation": {"kind": "folds", "folds": asked["folds"]},
        "drop": list(asked["drop"]),
        "columns": _kinds(asked["columns"]),
        "timeout_seconds": asked["seconds"],
    }
    if asked["quantile"] is not None:
        if asked["loss"] != "quantile":
            raise InvalidInput.of("--quantile", asked["quantile"], "only with --loss quantile")
        fields["loss"] = {"kind": "quantile", "quantile": asked["quantile"]}
    elif asked["loss"]:
        fields["loss"] = asked["loss"]
    if asked["penalty"]:
        fields["search"] = {"penalty": list(asked["penalty"])}
    names = ("target", "trials", "task", "groups", "weights", "seed")
    return fields | {name: asked[name] for name in names}
