"""What of an answer is shown in pictures alone, as the answer's lease keeps it beside the model."""

from __future__ import annotations

from ridgeway.answers import View


class Shown(View):
    """Evidence that pictures and the report draw, and no choice rests on."""
