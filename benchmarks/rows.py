"""Print for every benchmark: one row a measure, as a line to read or as JSON (`--json`)."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure; `ratio` is how many times better than the baseline it is."""

    measure: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def print(self, as_json: bool) -> None:
        """Print the row to standard output."""
        if as_json:
            row = asdict(self)
            parameters = row.pop("parameters")
            kept = {key: value for key, value in row.items() if value is not None}
            print(json.dumps({**kept, **parameters}), flush=True)
            return
        text = f"{self.measure:<24} {self.value:>12.4g} {self.unit}"
        if self.baseline is not None and self.ratio is not None:
            text += f"   baseline {self.baseline:.4g} {self.unit}, {self.ratio:.3g}x"
        details = ", ".join(f"{key}={value}" for key, value in self.parameters.items())
        print(f"{text}   ({details})" if details else text, flush=True)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with `--json` and `--repeats`."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true", help="one JSON object a row")
    made.add_argument(
        "--repeats", type=int, default=3, help="interleaved runs; medians are printed"
    )
    return made


def median(values: Sequence[float]) -> float:
    """Return the median of several runs."""
    return statistics.median(values)
