"""Pruning: members of a population that end early; rules.py lists the rules."""
