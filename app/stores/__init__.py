"""What outlives a process: documents in MongoDB, leases and idempotency keys in Redis."""
