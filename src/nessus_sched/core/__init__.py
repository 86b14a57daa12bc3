"""Pure domain logic: task states, queues, capacity, routing, retry, breaker, estimates, scope."""
