"""Scheduling decisions: queues, slots, routing, breaker, overlap guard, estimates. Pure."""
