"""The answer of a job: trials chosen, refitted, scored on the sealed rows, and kept as files."""
