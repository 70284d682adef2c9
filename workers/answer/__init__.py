"""What the answer's lease works out: which trials to name, their refits, the sealed scores."""
