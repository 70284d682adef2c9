"""A model as a job recommends it: its whole preparation and its weights, to predict with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ridgeway.errors import InvalidInput
from ridgeway.model.file import Column, Description, describe
from ridgeway.model.networks import Layers, Network, sigmoid, softmax
from ridgeway.model.plugins import Plugin
from ridgeway.model.preparation import Floats, Preparation
from ridgeway.model.tables import Rows, columns_of
from ridgeway.plugins import BUILT_IN_MODELS

ROWS_AT_ONCE = 1024


class Model:
    """Predicts from rows as they are in a table, missing values and categories included.

    Rows are a pandas DataFrame, a pyarrow Table, columns or objects by name, or an array (rows,
    features) in the order of `feature_names_in_`. Columns are found by name, others are ignored;
    InvalidInput names each that lacks.
    """

    def __init__(self, description: Description, network: Network) -> None:
        self._description = description
        self._network = network
        self._preparation = Preparation.of(description)

    def __repr__(self) -> str:
        told = self._description
        what = "the constant" if told.role == "baseline" else told.kind
        return f"<Model of {told.target!r}: {what}, {len(told.columns)} columns, {self.settings}>"

    def predict(self, rows: Rows) -> npt.NDArray[Any]:
        """Return a label or number for each row (rows,): the most probable class, or the target."""
        if not self._description.classes:
            return self._outputs(rows)[:, 0]
        return self.most_probable(self.predict_proba(rows))

    def predict_proba(self, rows: Rows) -> Floats:
        """Return the probability of each class (rows, classes), in the order of `classes_`.

        InvalidInput for a regression, which has none.
        """
        if not self._description.classes:
            raise InvalidInput(f"'{self._description.target}' is no class: use predict.")
        outputs = self._outputs(rows)
        if self._description.link == "logit":
            return np.concatenate([sigmoid(-outputs), sigmoid(outputs)], axis=1)
        return softmax(outputs)

    def most_probable(self, probabilities: Floats) -> npt.NDArray[Any]:
        """Return the class (rows,) of the largest of these (rows, classes); of equals the first."""
        return self.classes_[probabilities.argmax(axis=1)]

    # --- what it is ---------------------------------------------------------------------------

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """Return the classes (k,): whole numbers where the target is one, else texts."""
        return np.array(self._description.classes)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that it takes, as the table had them."""
        return self._description.columns

    @property
    def feature_names_in_(self) -> npt.NDArray[Any]:
        """Return the names of these columns."""
        return np.array([column.name for column in self.columns], object)

    @property
    def encoded_names_(self) -> npt.NDArray[Any]:
        """Return what the columns are encoded as: `age`, `age missing`, `city=Oslo`."""
        return np.array([each.name for each in self._description.inputs], object)

    @property
    def features(self) -> tuple[str, ...] | None:
        """Return the columns that it uses, by a nonzero weight; None of a plug-in's model."""
        weights = self._network.weights
        if weights is None:
            return None
        inputs = self._description.inputs
        used = {inputs[place].source for place in np.flatnonzero(weights.any(axis=0)).tolist()}
        return tuple(column.name for column in self.columns if column.name in used)

    @property
    def settings(self) -> dict[str, float | str]:
        """Return the parameters of its trial: penalty, lambda, ...; none of the constant."""
        return dict(self._description.settings)

    @property
    def description(self) -> Description:
        """Return all that the file says of it."""
        return self._description

    @property
    def preparation(self) -> Preparation:
        """Return how columns become its inputs."""
        return self._preparation

    @property
    def network(self) -> Network:
        """Return what goes from inputs to outputs."""
        return self._network

    @property
    def coef_(self) -> Floats:
        """Return the coefficients of `encoded_names_` in the table's units.

        A regression's are (d,), of two classes (1, d), of k classes (k, d), as scikit-learn has
        them. AttributeError where the model is not linear.
        """
        coefficients, _ = self._linear("coef_")
        return coefficients if self._description.classes else coefficients[0]

    @property
    def intercept_(self) -> Any:
        """Return what is added to `x @ coef_`: a number in regression, else (1,) or (k,)."""
        _, intercepts = self._linear("intercept_")
        return intercepts if self._description.classes else float(intercepts[0])

    # --- pieces -------------------------------------------------------------------------------

    def _outputs(self, rows: Rows) -> Floats:
        """Return logits (n, outputs), or a regression's target (n, 1) in its own units."""
        columns = columns_of(rows, self.columns)
        count = len(next(iter(columns.values())))
        told = self._description
        blocks = [slice(at, at + ROWS_AT_ONCE) for at in range(0, max(count, 1), ROWS_AT_ONCE)]
        with np.errstate(over="ignore", invalid="ignore"):  # far outside of what it was trained on
            parts = [self._network.outputs(self._preparation.inputs(columns, b)) for b in blocks]
            outputs = told.target_mean + told.target_scale * np.concatenate(parts)
            return np.exp(outputs) if told.link == "log" else outputs

    def _linear(self, name: str) -> tuple[Floats, Floats]:
        """Return coefficients (outputs, d) and intercepts (outputs,) in the table's units."""
        told = self._description
        if told.kind != "linear" or not isinstance(self._network, Layers):
            raise AttributeError(f"a model of kind {told.kind!r} has no {name}: it is not linear")
        ((weight, bias),) = self._network.layers
        own = told.target_scale * weight / self._preparation.scales
        means = own @ self._preparation.means
        return own, told.target_mean + told.target_scale * bias - means


def read_model(data: bytes) -> Model:
    """Read a model's file.

    InvalidInput where it is none, or where its plug-in is not installed; Unreadable where another
    release wrote it, or where it is damaged.
    """
    return build_model(describe(data), data)


def build_model(description: Description, data: bytes) -> Model:
    """Build the model of a file that is described already; raises as `read_model` does."""
    network = Layers if description.kind in BUILT_IN_MODELS else Plugin
    return Model(description, network.read(description, data))
