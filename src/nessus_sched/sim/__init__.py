"""A simulated Nessus for the demo, for tests and for a user's own integration tests."""
