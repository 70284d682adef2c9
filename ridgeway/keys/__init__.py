"""Who may do what: API keys, sessions, what belongs to a key, its limits, the audit log."""
