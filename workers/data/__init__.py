"""A data set as a job's trials see it: split, encoded, standardised."""
