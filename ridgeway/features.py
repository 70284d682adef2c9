"""What an answer says of each feature as JSON: its weight, where it is used, what it is worth."""

from __future__ import annotations

from pydantic import Field

from ridgeway.answers import Choice, Interval, View

_SHOWN = 8  # names in a summary


class Feature(View):
    """One input column; a category is one, whatever its levels are encoded as."""

    name: str
    rank: int = Field(description="1 for the largest norm")
    norm: float = Field(
        description="of its outgoing weights in the first layer, on standardised inputs"
    )
    coefficients: dict[str, list[float]] | None = Field(
        default=None,
        description="of linear models: by encoded column, one for each output, in own units",
    )
    sign: int | None = Field(
        default=None, description="of its one coefficient: 1, -1, or 0; null where it has more"
    )
    used: bool = Field(description="whether the model has a nonzero weight on it")
    folds: float | None = Field(default=None, description="share of the job's folds that use it")
    frequency: float | None = Field(
        default=None, description="share of the halves of the rows that select it"
    )
    importance: float | None = Field(
        default=None, description="by how much the sealed loss rises when its values are shuffled"
    )
    importance_interval: Interval | None = Field(
        default=None, description="95 %, by resampled sealed rows or groups"
    )


class Stability(View):
    """Selection on complementary halves of the development rows (Shah & Samworth 2013)."""

    pairs: int
    most: int = Field(description="features that a half selects at most: those largest in norm")
    threshold: float = Field(description="frequency from which a feature is called stable")
    false_selections: float = Field(
        description="bound on the expected number of stable features that tell nothing "
        "(Meinshausen & Bühlmann 2010)"
    )
    stable: list[str] = Field(description="features at the threshold or above")


class Features(View):
    """The features of the recommended model; beside the constant, of the best trial's."""

    choice: Choice
    trial: int
    settled: bool | None = Field(
        description="whether zeros had come to rest; where not, `used` says little. Null where the "
        "penalty sets none"
    )
    permutations: int = Field(description="shuffles behind each importance")
    left_out: int = Field(default=0, description="features, the smallest, without an importance")
    stability: Stability | None = None
    features: list[Feature]

    def _summary(self) -> str:
        used = [feature.name for feature in self.features if feature.used]
        more = f", and {len(used) - _SHOWN} more" if len(used) > _SHOWN else ""
        return f"{len(used)} of {len(self.features)} used: {', '.join(used[:_SHOWN])}{more}"
