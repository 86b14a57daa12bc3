"""`nessus-sched demo`."""
