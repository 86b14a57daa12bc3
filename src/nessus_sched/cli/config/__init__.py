"""`nessus-sched config`."""
