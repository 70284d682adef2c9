"""A study is read where what is proposed hangs on it, and nowhere else."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from ridgeway.spec.names import Sampler
from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space
from workers.sampling import Mirror
from workers.sampling.request import Request
from workers.sampling.samplers import SAMPLERS
from workers.sampling.tpe import History


@pytest.mark.parametrize("penalties", [["l1"], ["none", "l1", "l2"]])
@pytest.mark.parametrize("name", get_args(Sampler))
def test_a_mirror_learns_where_its_sampler_asks_for_the_history(name, penalties) -> None:
    search = {"penalty": penalties, "learning_rate": [0.1, 0.2], "weight_decay": 0.0}
    search["lambda"] = [0.1, 1.0]
    spec = parse_spec({"dataset": "digits", "sampler": name, "search": search})
    asked = []

    def history() -> History:
        asked.append(name)
        return History({}, np.empty(0, np.int64), np.empty(0))

    SAMPLERS[name](Request(search_space(spec, None), 4, 0, 0, spec.seed, history))
    assert Mirror(spec, study_id=1).learns == bool(asked)
