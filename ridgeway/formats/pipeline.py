"""A linear model as a scikit-learn pipeline, written by skops: no pickle, no types but their own.

prepare   numbers: the median where missing; which were missing; categories: an indicator a level;
          dates as numbers: days since 1970-01-01 in UTC
scale     (x - mean) / scale
predict   LogisticRegression, LinearRegression, or PoissonRegressor with the model's coefficients

The preparation is fitted to one row, the medians of the training rows: the nearest neighbour of
every row, so that missing numbers become them. (SimpleImputer keeps what skops does not trust.)
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn, skops and pandas ship no types.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from zipfile import ZIP_DEFLATED

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import KNNImputer, MissingIndicator
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skops import io

from ridgeway.formats.categories import Category, categories_of
from ridgeway.model.model import Model
from ridgeway.model.networks import Layers
from ridgeway.model.preparation import Preparation

CATEGORIES = "categories"  # the step's name
# Each value that a frame may hold for a level of a category, and the level's input.
Forms: TypeAlias = list[tuple[Any, int]]
BOOLEANS = {"false": False, "true": True}  # the texts of what a frame holds as booleans


@dataclass(frozen=True)
class _Part:
    """A step of the preparation, its columns, and the input that each of its outputs is.

    In `again`, outputs that are another form of a level that has one already.
    """

    name: str
    step: Any
    columns: Sequence[str]
    places: Sequence[int]
    again: Sequence[bool]


def pipeline_bytes(model: Model, layers: Layers) -> bytes:
    """Return the pipeline's file; `layers` are the network of a linear model."""
    categories = _categories(model)
    parts = _parts(model.preparation, categories)
    if (counted := _numeric_categories(model)) is not None:
        parts.append(counted)
    prepare = ColumnTransformer(
        [(part.name, part.step, list(part.columns)) for part in parts], sparse_threshold=0.0
    )
    prepare.fit(_example(model))
    _teach(prepare, categories)
    places = [place for part in parts for place in part.places]
    again = [more for part in parts for more in part.again]
    steps = [
        ("prepare", prepare),
        ("scale", _scaler(model.preparation, places, again)),
        ("predict", _estimator(model, layers, places)),
    ]
    return io.dumps(Pipeline(steps), compression=ZIP_DEFLATED)


def _parts(preparation: Preparation, categories: Mapping[str, Forms]) -> list[_Part]:
    numbers = list(preparation.numbers)
    gaps = [name for name in numbers if name in preparation.gaps]
    parts: list[_Part] = []
    if numbers:
        places = list(preparation.numbers.values())
        step = KNNImputer(n_neighbors=1)
        parts.append(_Part("numbers", step, numbers, places, [False] * len(places)))
    if gaps:
        places = [preparation.gaps[name] for name in gaps]
        step = MissingIndicator(features="all")
        parts.append(_Part("missing", step, gaps, places, [False] * len(places)))
    if categories:
        places = [at for own in categories.values() for _, at in own]
        levels: Any = [_placeholders(own) for own in categories.values()]
        step = OneHotEncoder(categories=levels, handle_unknown="ignore", sparse_output=False)
        met: set[int] = set()
        again = [at in met or met.add(at) is not None for at in places]
        parts.append(_Part(CATEGORIES, step, list(categories), places, again))
    return parts


def _categories(model: Model) -> dict[str, Forms]:
    """Return the forms of the levels of every category of texts."""
    found = categories_of(model.preparation)
    return {name: _forms(own) for name, own in found.items() if name not in _counted(model)}


def _counted(model: Model) -> set[str]:
    """Return the categories whose levels are numbers, as which a frame holds them."""
    return {c.name for c in model.columns if c.kind == "category" and c.format is not None}


def _numeric_categories(model: Model) -> _Part | None:
    """Return the step of categories whose levels are numbers; missing ones are NaN."""
    found = categories_of(model.preparation)
    names = [name for name in found if name in _counted(model)]
    levels: Any = []
    places: list[int] = []
    for name in names:
        own = sorted((float(text), place) for text, place in found[name].levels.items())
        missing = found[name].missing
        own += [] if missing is None else [(np.nan, missing)]
        levels.append(np.array([level for level, _ in own]))
        places += [place for _, place in own]
    step = OneHotEncoder(categories=levels, handle_unknown="ignore", sparse_output=False)
    return _Part("counted", step, names, places, [False] * len(places)) if names else None


def _forms(category: Category) -> Forms:
    """Return each value that a frame may hold for a level, and the level's input.

    Missing values are None or, last as scikit-learn has it, NaN.
    """
    forms: Forms = list(category.levels.items())
    forms += [
        (own, category.levels[text]) for text, own in BOOLEANS.items() if text in category.levels
    ]
    if category.missing is not None:
        forms += [(None, category.missing), (np.nan, category.missing)]
    return forms


def _placeholders(forms: Forms) -> list[str]:
    """Return as many texts in order: scikit-learn fits no booleans among texts."""
    return [f"{number:09}" for number, _ in enumerate(forms)]


def _example(model: Model) -> pd.DataFrame:
    """Return one row of the model's columns: the medians, and any text or number."""
    fills = dict.fromkeys(_counted(model), 0.0) | dict(model.preparation.fills)
    return pd.DataFrame({c.name: [fills.get(c.name, "0")] for c in model.columns})


def _teach(prepare: Any, categories: Mapping[str, Forms]) -> None:
    """Give the fitted encoder the levels in place of its placeholders."""
    if CATEGORIES in prepare.named_transformers_:
        encoder = prepare.named_transformers_[CATEGORIES]
        encoder.categories = encoder.categories_ = [
            _objects([form for form, _ in own]) for own in categories.values()
        ]


def _objects(values: Sequence[Any]) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _scaler(preparation: Preparation, places: Sequence[int], again: Sequence[bool]) -> Any:
    """Return the scaling; of a level's forms only the first takes the mean off."""
    scaler: Any = StandardScaler()
    scaler.mean_ = np.where(again, 0.0, preparation.means[places])
    scaler.scale_ = preparation.scales[places]
    scaler.var_ = scaler.scale_**2
    scaler.n_features_in_ = len(places)
    scaler.n_samples_seen_ = 1
    return scaler


def _estimator(model: Model, layers: Layers, places: Sequence[int]) -> Any:
    """Return the estimator with the coefficients (outputs, columns) of the prepared columns."""
    told = model.description
    ((weight, bias),) = layers.layers
    coefficients = told.target_scale * weight[:, places]
    intercepts = told.target_mean + told.target_scale * bias
    if told.classes:
        estimator: Any = LogisticRegression()
        estimator.classes_ = model.classes_
        estimator.coef_, estimator.intercept_ = coefficients, intercepts
        estimator.n_iter_ = np.zeros(1, np.int32)
    else:
        is_count = told.link == "log"
        estimator = PoissonRegressor() if is_count else LinearRegression()
        estimator.coef_, estimator.intercept_ = coefficients[0], float(intercepts[0])
        if is_count:
            estimator._base_loss = estimator._get_loss()  # made by `fit` alone
    estimator.n_features_in_ = len(places)
    return estimator
