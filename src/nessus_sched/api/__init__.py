"""The operations: what can be asked of the daemon, and what it answers, for any client."""
