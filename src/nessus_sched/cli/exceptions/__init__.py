"""`nessus-sched exceptions`."""
