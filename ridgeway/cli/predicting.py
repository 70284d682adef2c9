"""The command that predicts with a job's model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ridgeway.cli.options import echo_plain, url_option
from ridgeway.errors import InvalidInput

if TYPE_CHECKING:
    from ridgeway.predictions import Predictions

# What a command needs is imported in it: `--help` must stay quick.


@click.command()
@click.argument("model", metavar="JOB_OR_FILE")
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the CSV to this file."
)
@url_option
def predict(model: str, data: Path, out: Path | None, url: str) -> None:
    """Predict the rows of DATA, a CSV with a header, with a job's model or its file.

    Prints CSV, a line for each row: its prediction, and of classes the probability of each.
    """
    from ridgeway.client.loading import load_model

    loaded = load_model(model, url)
    from ridgeway.model.csv_rows import read_csv
    from ridgeway.model.results import predictions_of

    text = _csv(predictions_of(loaded, read_csv(data.read_bytes(), loaded.columns)))
    if out is None:
        echo_plain(text, newline=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput.of("--out", str(out), error.strerror or str(error)) from None


def _csv(told: Predictions) -> str:
    import csv
    import io

    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["prediction", *(f"probability={label}" for label in told.classes or ())])
    shares: list[list[Any]] = [*(told.probabilities or [[]] * len(told.predictions))]
    writer.writerows([label, *own] for label, own in zip(told.predictions, shares, strict=True))
    return written.getvalue()
