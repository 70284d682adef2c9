"""Which members of a population end early."""
