"""Seeds of a job's own for everything that is drawn at random."""

from __future__ import annotations

import numpy as np


def derived_seed(seed: int, *purpose: int | str) -> int:
    """Derive a seed of its own for each purpose from the job's seed."""
    words = [word if isinstance(word, int) else int.from_bytes(word.encode()) for word in purpose]
    sequence = np.random.SeedSequence([seed, *words])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)
