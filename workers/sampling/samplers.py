"""Every sampler by the name that the spec has for it; all of them are asked in the same way.

A sampler is a function from a request to draws, columns (count,) by parameter in Optuna's internal
representation, and an entry in this list:

    def middle(request: Request) -> dict[str, Floats]:
        axes = [Axis.of(name, each) for name, each in request.space.items()]
        return request.existing({a.name: a.decode(np.full(request.count, 0.5)) for a in axes})
"""

from __future__ import annotations

from collections.abc import Mapping

from ridgeway.spec.names import Sampler as SamplerName
from workers.sampling.axes import Floats
from workers.sampling.floors import with_floors
from workers.sampling.gaussian import gaussian_draws
from workers.sampling.request import Request, Sampler
from workers.sampling.sequences import grid_draws, random_draws, sobol_draws
from workers.sampling.tpe import propose


def tpe(request: Request) -> dict[str, Floats]:
    """Draw where good trials are dense and bad ones are not."""
    return propose(
        request.history(), request.space, request.count, request.generator(), request.existing
    )


def gaussian_process(request: Request) -> dict[str, Floats]:
    """Draw where a Gaussian process expects improvement."""
    seed = int(request.seeds().generate_state(1)[0])
    return gaussian_draws(request.history(), request.space, request.count, seed, request.existing)


def random(request: Request) -> dict[str, Floats]:
    """Draw independently and uniformly."""
    return random_draws(request.space, request.count, request.generator())


def quasi_random(request: Request) -> dict[str, Floats]:
    """Go on in the job's Sobol sequence."""
    return sobol_draws(request.space, request.start, request.count, request.seed)


def grid(request: Request) -> dict[str, Floats]:
    """Go on in the job's shuffled grid; its last population may come out smaller."""
    return grid_draws(request.space, request.start, request.count, request.seed)


SAMPLERS: Mapping[SamplerName, Sampler] = {
    "tpe": with_floors(tpe),
    "random": with_floors(random),
    "qmc": quasi_random,
    "grid": grid,
    "gp": with_floors(gaussian_process),
}

LEARNING: frozenset[SamplerName] = frozenset({"tpe", "gp"})  # those that ask for the history
