"""Programs, notebooks and terminals: the REST interface as Python calls, and its answers shown."""
