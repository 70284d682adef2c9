"""The range of strengths that `"lambda": "auto"` stands for."""
