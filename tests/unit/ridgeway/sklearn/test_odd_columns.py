"""Estimators take the columns that people have: dates, numbers as text, identifiers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from light import lighten

from ridgeway.sklearn import RidgewayRegressor, RidgewayWarning

ROWS = 80


@pytest.fixture(autouse=True)
def _light() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        lighten(patch)
        yield


def test_a_frame_of_odd_columns_is_searched_and_predicted() -> None:
    rng = np.random.default_rng(0)
    price = rng.uniform(0, 3000, ROWS).round(2)
    day = pd.Series(pd.date_range("2024-01-01", periods=ROWS)).sample(frac=1, random_state=0)
    typed = pd.DataFrame({"when": day.to_numpy(), "price": price, "row": np.arange(ROWS)})
    texts = typed.assign(
        when=[f"{each.day}.{each.month}.{each.year}" for each in typed["when"]],
        price=[f"{each:,.2f}".translate(str.maketrans(",.", ".,")) for each in price],
        who=[f"n{row}" for row in range(ROWS)],
    )
    y = price / 1000 + (day.dt.day_of_year.to_numpy() / 30) + rng.normal(0, 0.1, ROWS)
    model = RidgewayRegressor(n_trials=1, penalties=["l2"], random_state=0)
    with pytest.warns(RidgewayWarning, match=r"`who` \(an identifier\)"):
        model.fit(texts, y)
    assert [column.name for column in model.model_.columns] == ["when", "price", "row"]
    of_texts = model.predict(texts)
    np.testing.assert_allclose(model.predict(typed.assign(who="")), of_texts, rtol=1e-12)
    assert model.score(texts, y) > 0.9
    again = RidgewayRegressor(n_trials=1, penalties=["l2"], random_state=0).fit(typed, y)
    np.testing.assert_allclose(again.predict(typed), of_texts, rtol=1e-9)
