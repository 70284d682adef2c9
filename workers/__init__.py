"""Training. Knows no FastAPI."""

import os

# MKL reads this at its first call. Without it the last bits of a product depend on how its
# operands lie in memory, and so a member's results on its place in the population.
os.environ.setdefault("MKL_CBWR", "AUTO")
