"""Who places the workers: this machine (`local`), or a Ray cluster (`ray`)."""
