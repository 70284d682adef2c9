"""Texts that stand for a value that is not there."""

from __future__ import annotations

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")  # in every column
# In columns of numbers and dates, too; among categories they may be a level.
NO_VALUE = frozenset({*MISSING, "-", "--", ".", "n/a", "na", "none", "#N/A", "NaT"})
