"""A population of suggestions from a study's history."""

from workers.sampling.mirror import Mirror
from workers.sampling.sampler import PopulationTPESampler
from workers.sampling.space import suggest

__all__ = ["Mirror", "PopulationTPESampler", "suggest"]
