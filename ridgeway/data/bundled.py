"""scikit-learn's data sets that every worker offers; their profiles, known without scikit-learn.

Columns are called as in scikit-learn's own frames, `target` last; that of digits is `label`.
`python -m workers.data.bundled` writes bundled.json anew.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from ridgeway.spec.profiles import DatasetProfile

BUNDLED = ("breast_cancer", "diabetes", "digits", "wine")
PROFILES = Path(__file__).with_name("bundled.json")


@cache
def bundled_profiles() -> dict[str, DatasetProfile]:
    """Return the profile of each bundled data set by its name."""
    profiles = json.loads(PROFILES.read_text(encoding="utf-8"))
    return {name: DatasetProfile.model_validate(profiles[name]) for name in BUNDLED}
