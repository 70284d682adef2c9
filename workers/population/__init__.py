"""Populations in training, whichever the solver: problem, run, roll, judging, results."""
