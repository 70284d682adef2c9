"""Which members of a population end early: rules.py lists the rules."""
