"""A worker process: it claims a lease, works, finishes, and keeps the lease meanwhile."""
