"""A job's life: submitted, leased to workers, extended, read out again."""
