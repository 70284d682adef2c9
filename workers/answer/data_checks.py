"""Checks of the data: leaks, identifiers, doubles, correlated inputs, few rows.

None of them raises, whatever the data are. Only `duplicates_across_seal` looks at sealed rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ridgeway.answers import Check
from workers.answer.comparing import LEAST_ROWS
from workers.answer.leaks import Leak, leaks, sampled_rows
from workers.data.encoding import Floats
from workers.data.prepare import Prepared
from workers.data.splits import Positions
from workers.data.weights import effective_rows
from workers.penalties.penalties import PENALTIES

FEWEST_IDENTIFIED = 20  # rows below which a column may number them by chance
NEARLY_ALL = 0.9  # levels a row from which a category tells rows apart
DOUBLES = 0.01  # share of sealed rows
CORRELATED = 0.95
MOST_SELECTED = 500  # columns whose correlations are looked at
MOST_NAMED = 3


def data_checks(prepared: Prepared) -> list[Check]:
    """Return what a careful reader would ask about the data, from development rows alone.

    The work is bounded: leaks are looked for in a sample (`workers.answer.leaks`), and columns are
    read as a whole only where a thousand of their rows look like identifiers.
    """
    return [*_leaking(leaks(prepared)), *_identifying(prepared), *_few_rows(prepared)]


def duplicates_across_seal(prepared: Prepared) -> list[Check]:
    """Return a check where sealed rows equal development rows, target included.

    Looks at sealed rows: only for when the seal is open.
    """
    splits = prepared.splits
    if not len(splits.test):
        return []
    sealed = list(_row_hashes(prepared, splits.test))
    known = frozenset(sealed)
    doubled = {each for each in _row_hashes(prepared, splits.development) if each in known}
    doubles = sum(each in doubled for each in sealed)
    if doubles < DOUBLES * len(splits.test) or not doubles:
        return []
    share = doubles / len(splits.test)
    return [
        Check(
            code="duplicates_across_seal",
            sentence=f"{doubles:,} of {len(splits.test):,} sealed rows ({share:.0%}) equal a row "
            "that was trained on, target included: the sealed scores are too good for new rows.",
            remedy="If equal rows are copies, leave them out; if they belong to one subject, name "
            "its column in `groups`.",
        )
    ]


def correlated_inputs(prepared: Prepared, penalty: str, selected: Collection[str]) -> list[Check]:
    """Return a check where a selected column correlates above 0.95 with another column.

    penalty: of what is recommended; nothing is told unless it chooses single columns. selected:
    source columns. Development rows only, at most 5,000; at most 500 selected columns; the
    strongest three pairs are named.
    """
    if not _chooses_columns(penalty) or not selected:
        return []
    pairs = _correlated_pairs(prepared, frozenset(selected))
    if not pairs:
        return []
    named = ", ".join(f"`{one}` and `{other}` ({r:.2f})" for one, other, r in pairs[:MOST_NAMED])
    return [
        Check(
            code="correlated_inputs",
            sentence=f"Selected columns have near doubles: {named}. Which of them {penalty} keeps "
            "is close to chance.",
            remedy="Read a selected column as standing for its doubles, leave all but one of them "
            "out, or search `elastic_net` with a low `l1_ratio`, which keeps them together.",
        )
    ]


def _chooses_columns(penalty: str) -> bool:
    """Return whether a penalty has a Σ |w| in it, which sets single columns to zero."""
    own = next((own for name, own in PENALTIES.items() if name == penalty), None)
    return own is not None and own.components(strength=1.0, l1_ratio=0.5).l1 > 0


def _leaking(found: Sequence[Leak]) -> list[Check]:
    if not found:
        return []
    named = ", ".join(f"`{leak.column}` ({leak.measure} {leak.score:.3f})" for leak in found[:3])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return [
        Check(
            code="leak_suspected",
            sentence=f"One column alone predicts the target nearly perfectly: {named}{more}.",
            remedy="Ask whether the column is known when a prediction is needed. If it is written "
            "after the target, or from it, name it in `drop` and search again.",
        )
    ]


def _few_rows(prepared: Prepared) -> list[Check]:
    rows = len(prepared.splits.test)
    weights = prepared.encoded.weights_of(prepared.splits.test)
    counted = rows if weights is None else effective_rows(weights)
    if counted >= LEAST_ROWS:
        return []
    by_weight = "" if weights is None else f", which count by their weights as {counted}"
    return [
        Check(
            code="few_rows",
            sentence=f"The sealed test set has {rows} rows{by_weight}; a claim needs {LEAST_ROWS}.",
            remedy="Read the sealed score with its interval. More rows, or a larger "
            "`test_fraction`, make it narrower.",
        )
    ]


def _identifying(prepared: Prepared) -> list[Check]:
    rows = prepared.splits.development
    if len(rows) < FEWEST_IDENTIFIED:
        return []
    found = [*_numbering(prepared, rows), *_naming(prepared, rows)]
    if not found:
        return []
    named = ", ".join(f"`{column}`" for column in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    verb = "numbers or names" if len(found) == 1 else "number or name"
    return [
        Check(
            code="identifiers",
            sentence=f"{named}{more} {verb} the rows: a model can learn only their order from it.",
            remedy="Name such columns in `drop`, or, if they name a subject with several rows, as "
            "`groups`.",
        )
    ]


def _numbering(prepared: Prepared, rows: Positions) -> list[str]:
    """Return number columns whose integers all differ and are consecutive, or rise with the rows.

    The development rows of consecutive numbers span no more than all rows do.
    """
    encoding = prepared.encoded.encoding
    some = encoding.values[rows[:1000]]
    steps = np.diff(some, axis=0)
    whole = (some == np.round(some)).all(0)  # false where any is missing
    candidates = np.flatnonzero(whole & ((steps != 0).all(0)))
    found: list[str] = []
    for at in candidates.tolist():
        if encoding.names[at] != encoding.sources[at]:
            continue
        values = encoding.values[rows, at]
        if not (values == np.round(values)).all():
            continue
        steps = np.diff(values)
        in_order = bool((steps > 0).all() or (steps < 0).all())
        spans_rows = float(values.max() - values.min()) < prepared.rows
        if in_order or (spans_rows and len(np.unique(values)) == len(values)):
            found.append(encoding.sources[at])
    return found


def _naming(prepared: Prepared, rows: Positions) -> list[str]:
    """Return categories with nearly as many levels as there are rows.

    In a table of over 100 rows the door has refused them; in a small one they are met here.
    """
    encoding = prepared.encoded.encoding
    levels: dict[str, int] = {}
    for name, source in zip(encoding.names, encoding.sources, strict=True):
        if name != source:
            levels[source] = levels.get(source, 0) + 1
    return [source for source, count in levels.items() if count >= NEARLY_ALL * len(rows)]


def _correlated_pairs(prepared: Prepared, selected: frozenset[str]) -> list[tuple[str, str, float]]:
    """Return pairs of a selected source column and another one, the strongest first."""
    encoding = prepared.encoded.encoding
    standard = _standardised(encoding.values[sampled_rows(prepared)])
    sources = encoding.sources
    mine = np.flatnonzero([source in selected for source in encoding.sources])[:MOST_SELECTED]
    strongest: dict[tuple[str, str], float] = {}
    for start in range(0, len(mine), 50):
        part = mine[start : start + 50]
        r = np.abs(standard[:, part].T @ standard)  # (part, d)
        for row, other in np.argwhere(r > CORRELATED).tolist():
            one, two = sources[int(part[row])], sources[other]
            if one != two:
                pair = (min(one, two), max(one, two))
                strongest[pair] = max(strongest.get(pair, 0.0), min(1.0, float(r[row, other])))
    ordered = sorted(strongest.items(), key=lambda item: (-item[1], item[0]))
    return [(*pair, r) for pair, r in ordered]


def _standardised(values: Floats) -> Floats:
    """Return columns of mean 0 and length 1; constant ones are 0, missing values the mean."""
    missing = np.isnan(values)
    values = np.where(missing, 0.0, values)
    values = values / np.maximum(np.abs(values).max(0, initial=0.0), 1e-300)
    counts = np.maximum((~missing).sum(0), 1)
    away = np.where(missing, 0.0, values - values.sum(0) / counts)
    length = np.sqrt((away**2).sum(0))
    return np.where(length > 1e-12, away / np.maximum(length, 1e-12), 0.0)


def _row_hashes(prepared: Prepared, rows: Positions) -> Iterator[int]:
    """Yield a hash of each row's inputs and target; missing values are equal."""
    encoded = prepared.encoded
    for start in range(0, len(rows), 4096):
        part = rows[start : start + 4096]
        values: npt.NDArray[np.float64] = np.column_stack(
            [encoded.encoding.values[part], encoded.targets[part].astype(np.float64)]
        )
        values = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, one zero
        yield from (hash(row.tobytes()) for row in values)
