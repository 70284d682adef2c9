"""Where the levels of a category stand among a model's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ridgeway.model.preparation import Preparation


@dataclass(frozen=True)
class Category:
    """The input of each level by its text, and of missing values; None where those have none."""

    levels: Mapping[str, int]
    missing: int | None

    @property
    def places(self) -> list[int]:
        """Return its inputs in their order; several texts may share one."""
        missing = [] if self.missing is None else [self.missing]
        return sorted({*self.levels.values(), *missing})


def categories_of(preparation: Preparation) -> dict[str, Category]:
    """Return every category that has inputs."""
    names = [*preparation.levels, *preparation.gaps]
    return {
        name: Category(preparation.levels.get(name, {}), preparation.gaps.get(name))
        for name in dict.fromkeys(names)
        if name not in preparation.numbers
    }
