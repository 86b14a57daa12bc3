"""Pure domain logic: tasks and their states, the pool, targets, retries."""
