"""What a worker process does: claim a lease, work, finish, keep the lease meanwhile."""
